"""What a broker in the configuration file may say. Checked here, before any client library is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, field_validator, model_validator

from agent.collectors.settings import Host, Part

Key = Annotated[str | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A key of the payload; TOML has no null, so "" means none."""


class TopicRule(Part):
    """How the messages under a topic filter are read. Several rules may read the same message."""

    filter: str = Field(description="MQTT topic filter; + stands for one level, # at the end for all below")
    value: str = Field(
        "value", description='Key of the number, dots lead inwards; "" if the payload is the bare number'
    )
    time: Key = Field("ts", description='Key of the device\'s time (epoch s, ms, µs, ns or ISO 8601); "" for none')
    id: Key = Field("id", description='Key of the device\'s event id, by which a repeat is recognised; "" for none')
    tag: str = Field("{topic}", description="Name of the signal; {topic} is the topic, {0}, {1} … are its levels")
    time_zone: str = Field("UTC", description="Zone of ISO times that do not state one")

    @field_validator("filter")
    @classmethod
    def _filter(cls, value: str) -> str:
        levels = value.split("/")
        if not value or "\0" in value or len(value.encode()) > 65535:
            raise ValueError("a topic filter of 1 to 65535 bytes")
        if "#" in "".join(levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
            raise ValueError("# may only be the whole last level")
        if any("+" in level and level != "+" for level in levels):
            raise ValueError("+ must be a whole level")
        return value

    @field_validator("tag")
    @classmethod
    def _tag(cls, value: str) -> str:
        if not value or re.search(r"[{}]", re.sub(r"\{(?:topic|[0-9]{1,2})\}", "", value)):
            raise ValueError("only {topic} and {0}, {1} … stand in braces")
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("an IANA name such as Asia/Shanghai") from error
        return value


class BrokerSettings(Part):
    """A broker and how we are connected to it: what all that comes over MQTT has in common."""

    host: Host = Field("127.0.0.1", description="Broker's host name or address")
    port: int = Field(1883, ge=1, le=65535, description="Broker's TCP port")
    protocol: Literal["3.1.1", "5"] = Field("3.1.1", description="MQTT version")
    client_id: str = Field(
        min_length=1, max_length=128, description="Fixed and unique at the broker: it names our session"
    )
    username: str | None = Field(None, description="User at the broker")
    password_file: Path | None = Field(None, description="File that holds the password; not readable by others")
    keepalive_s: int = Field(30, ge=1, le=65535, description="A silent connection is given up after at most twice this")
    qos: Literal[0, 1] = Field(1, description="1: nothing is lost; 0: the broker drops what we cannot take at once")
    max_payload_bytes: int = Field(65536, ge=1, le=1 << 24, description="A larger payload is counted as bad")
    max_inflight: int = Field(1000, ge=1, le=32767, description="Messages on the way to the store (receive maximum)")
    session_expiry_s: int = Field(
        7 * 86400, ge=60, le=0xFFFFFFFF, description="MQTT 5: how long the broker keeps our session"
    )
    stale_after_s: float = Field(60.0, gt=0, le=31_536_000, description="Without data for longer the source is stale")
    connect_timeout_s: float = Field(5.0, gt=0, le=60, description="To connect and to be accepted")
    reconnect_max_s: float = Field(30.0, gt=0, le=3600, description="Longest pause between two attempts to connect")

    @model_validator(mode="after")
    def _password_needs_user(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username")
        return self


class MqttSettings(BrokerSettings):
    """A broker and what we read from it."""

    type: Literal["mqtt"] = Field(description="The protocol")
    topics: tuple[TopicRule, ...] = Field(min_length=1, description="What to subscribe to and how to read it")
