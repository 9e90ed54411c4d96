"""What a Sparkplug source in the configuration file may say. Checked here, before any client library is loaded."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from agent.collectors.mqtt.settings import BrokerSettings

_PLACE = re.compile(r"\{(group|node|device|metric)\}")


def _name(value: str) -> bool:
    return bool(value) and value.isprintable() and not set(value) & set("+/#") and len(value.encode()) <= 1000


class SparkplugSettings(BrokerSettings):
    """A broker, and which edge nodes on it we listen to."""

    type: Literal["sparkplug"] = Field(description="The protocol")
    groups: tuple[str, ...] = Field((), description="Sparkplug groups to read; none here and in nodes: all of them")
    nodes: tuple[str, ...] = Field((), description='Single edge nodes to read, as "group/node"')
    tag: str = Field(
        "{group}/{node}/{device}/{metric}",
        description="Name of a signal; {device} and the / behind it are left out for a node's own metrics",
    )
    birth_values: bool = Field(True, description="Births repeat every value: true takes them as signals")
    commands: bool = Field(True, description="Ask nodes for a rebirth (NCMD); false: nothing is published to a node")
    rebirth_pause_s: float = Field(
        10.0, ge=1, le=3600, description="Shortest pause between two rebirth requests to a node; it doubles"
    )
    reorder_timeout_s: float = Field(
        2.0, ge=0, le=60, description="How long a missing sequence number may arrive late; 0: not at all"
    )
    host_id: str = Field("", description='Primary host: publish STATE under this id; "" publishes none')
    clean_session: bool = Field(
        True, description="As Sparkplug demands; false: the broker keeps QoS 1 while we are away"
    )
    max_payload_bytes: int = Field(1 << 20, ge=1, le=1 << 24, description="A larger payload is counted as bad")
    max_inflight: int = Field(100, ge=1, le=32767, description="Messages on the way to the store (receive maximum)")
    max_nodes: int = Field(1000, ge=1, le=100_000, description="Edge nodes that are remembered; more count as bad")
    max_metrics: int = Field(50_000, ge=1, le=1_000_000, description="Metrics that are remembered; more count as bad")

    @field_validator("groups")
    @classmethod
    def _groups(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_name(group) for group in value):
            raise ValueError("a group is a printable name without + / #")
        return value

    @field_validator("nodes")
    @classmethod
    def _nodes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(node.count("/") == 1 and all(map(_name, node.split("/"))) for node in value):
            raise ValueError('write "group/node", printable names without + #')
        return value

    @field_validator("host_id")
    @classmethod
    def _host(cls, value: str) -> str:
        if value and not _name(value):
            raise ValueError("a printable name without + / #")
        return value

    @field_validator("tag")
    @classmethod
    def _tag(cls, value: str) -> str:
        if "{metric}" not in value or re.search(r"[{}]", _PLACE.sub("", value)):
            raise ValueError("{metric} must stand in it; only {group}, {node}, {device}, {metric} stand in braces")
        return value

    @model_validator(mode="after")
    def _kept_needs_qos(self) -> Self:
        if self.qos == 0 and not self.clean_session:
            raise ValueError("clean_session = false needs qos = 1: a broker keeps nothing of QoS 0")
        return self

    def filters(self) -> list[str]:
        """What to subscribe to: whole groups, and single nodes of other groups."""
        single = [node.split("/") for node in self.nodes]
        filters = [f"spBv1.0/{group}/#" for group in self.groups]
        filters += [f"spBv1.0/{group}/+/{node}/#" for group, node in single if group not in self.groups]
        if not filters:
            return ["spBv1.0/#"]
        if self.host_id:
            filters.append(f"spBv1.0/STATE/{self.host_id}")
        return sorted(set(filters))

    def name(self, group: str, node: str, device: str, metric: str) -> str:
        """The tag of a metric; `device` is "" for the node's own."""
        template = self.tag if device else self.tag.replace("{device}/", "").replace("{device}", "")
        parts = {"group": group, "node": node, "device": device, "metric": metric}
        return _PLACE.sub(lambda place: parts[place[1]], template)
