"""The shared vocabulary: small immutable values that every part may speak of. Pure: no I/O, no time, no libraries.

A *Signal* is what a device said; a *Measurement* is a signal read as a characteristic in its unit (GLOSSARY.md).
Times are aware datetimes in UTC and end in `_at`; durations are timedeltas or seconds by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType, Protocol, TypeAlias

PersonId = NewType("PersonId", str)
"""The plant's employee number. Only sinks/feishu knows open_ids."""

Text: TypeAlias = "str | Mapping[str, Any]"
"""A text for people: either a person's own words (str) or {"key": name in agent/texts, "args": {...}}.

An arg is a str, a number, another Text, a name {"zh", "en"}, {"at": ISO time}, {"seconds": number} (a duration) or
{"num": x, "digits": n}.
Stores and messages hold these, never sentences, so each reader gets their own language."""


def text(key: str, **args: Any) -> Text:
    """A Text by its key."""
    return {"key": key, "args": args}


class Quality(StrEnum):
    """How far a value can be believed (OPC UA's three, plus age)."""

    GOOD = "good"
    UNCERTAIN = "uncertain"
    BAD = "bad"
    STALE = "stale"


class Attention(StrEnum):
    """The two lamps: nothing, act in time (amber), act now (red)."""

    NONE = "none"
    SOON = "soon"
    NOW = "now"


@dataclass(slots=True)
class Signal:
    """One value as a device said it.

    `source` is the configured source's name, `tag` the topic or register name. `value` is None when quality is bad:
    an error is never recorded as a number. `id` is the device's own event id, if it sent one; with it (or else with
    `source_at`) a repeated delivery is recognised. `text` is what a device said in words instead of a number (a code, a
    serial number). `context` is what the topic, the payload or the row says beside the value: line, station,
    characteristic, part_no, serial, lot. `historical`: it was kept by the device and is told late.
    """

    source: str
    tag: str
    value: float | None
    received_at: datetime
    source_at: datetime | None = None
    quality: Quality = Quality.GOOD
    id: str | None = None
    text: str | None = None
    context: Mapping[str, str] | None = None
    historical: bool = False


class Emit(Protocol):
    """Hand signals to the pipeline. Returns once they are durable: acknowledge the source only then.

    Raises StoreFull (see store) when nothing can be kept: do not acknowledge, the source delivers again.
    """

    async def __call__(self, signals: Sequence[Signal]) -> None: ...


@dataclass(slots=True)
class SourceHealth:
    """What is known of one source. Age of data, never "connected", decides whether it is stale."""

    name: str
    kind: str
    stale_after_s: float
    state: str = "starting"
    last_data_at: datetime | None = None
    received: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    last_bad: str = ""
    reconnects: int = 0

    def bad(self, kind: str, sample: str = "") -> None:
        """Count one thing that could not be read, and keep a sample of it (at most 200 characters)."""
        self.errors[kind] = self.errors.get(kind, 0) + 1
        if sample:
            self.last_bad = sample[:200]

    def stale(self, now: datetime) -> bool:
        """True if no data came for longer than the source may be silent."""
        return self.last_data_at is None or (now - self.last_data_at).total_seconds() > self.stale_after_s


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a person (or None for the agent itself), with roles, through what."""

    person: PersonId | None
    roles: frozenset[str]
    via: str
    """kiosk, feishu, api, spc, system, admin"""
    device: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {"person": self.person, "roles": sorted(self.roles), "via": self.via, "device": self.device}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Actor:
        return Actor(data.get("person"), frozenset(data.get("roles", ())), str(data["via"]), data.get("device"))


SYSTEM = Actor(None, frozenset({"system"}), "system")


@dataclass(frozen=True, slots=True)
class Click:
    """A person pressed a button or sent a form on a card; a repeat is recognised by `event_id`, the far side's."""

    event_id: str
    open_id: str
    user_id: str | None
    value: Mapping[str, Any]
    """What the button carries: {"ticket": no, "action": name, "cycle": n}."""
    form: Mapping[str, Any]
    message_id: str
    chat_id: str
    clicked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a click: the toast (level info, success, warning, error) and the card as it is now, if known."""

    level: str
    toast: Text
    card: Mapping[str, Any] | None = None
    """A neutral card (records/*/cards.py)."""
