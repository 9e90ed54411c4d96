"""What is known of an edge node and its devices: the metrics that births named, and whether they are alive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agent.collectors.sparkplug.order import Order
from agent.collectors.sparkplug.wire import Message
from agent.model import Quality, Signal


@dataclass(slots=True, eq=False)
class Known:
    """A metric that was named."""

    name: str
    tag: str
    datatype: int
    context: Mapping[str, str]
    size: int | None = None
    """How many elements an array had last; None for what is no array."""
    told: bool = False
    """A value was handed on that has not been called stale since."""

    def tags(self) -> list[str]:
        return [self.tag] if self.size is None else [f"{self.tag}[{n}]" for n in range(self.size)]


@dataclass(slots=True, eq=False)
class Scope:
    """A device, or the node's own metrics."""

    device: str
    born: bool = False
    by_name: dict[str, Known] = field(default_factory=dict)
    by_alias: dict[int, Known | None] = field(default_factory=dict)
    """None: a birth gave it to several metrics, so that it says nothing."""

    def stale(self, source: str, now: datetime) -> Iterator[Signal]:
        """All that was told is no longer believed. A time of receipt, none of the source: nobody measured anything."""
        for known in self.by_name.values():
            if known.told:
                known.told = False
                for tag in known.tags():
                    yield Signal(source, tag, None, now, None, Quality.STALE, context=known.context)

    def forget(self) -> int:
        """Dead: names and aliases mean nothing until the next birth. Returns how many metrics were known."""
        count = len(self.by_name)
        self.born = False
        self.by_name, self.by_alias = {}, {}
        return count


@dataclass(slots=True, eq=False)
class Node:
    """An edge node."""

    group: str
    name: str
    order: Order[Message]
    bd_seq: int | None = None
    heard: bool = False
    """It said something since it was last asked for a rebirth."""
    own: Scope = field(default_factory=lambda: Scope(""))
    devices: dict[str, Scope] = field(default_factory=dict)

    @property
    def born(self) -> bool:
        return self.own.born

    def scopes(self) -> list[Scope]:
        return [self.own, *self.devices.values()]

    def alias_elsewhere(self, alias: int, scope: Scope) -> bool:
        """Another device of the node uses the alias: they must be unique across the node (§6.4.6)."""
        return any(alias in other.by_alias for other in self.scopes() if other is not scope)
