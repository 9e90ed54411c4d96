"""What a source in the configuration file may say. Checked here, before any client library is loaded."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from agent.errors import ConfigError

Key = Annotated[str | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A key of the payload; TOML has no null, so "" means none."""

WIDE = frozenset({"int32", "uint32", "float32"})
"""Register types that take two registers."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TopicRule(_Part):
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


class MqttSettings(_Part):
    """A broker and what we read from it."""

    type: Literal["mqtt"] = Field(description="The protocol")
    host: str = Field("127.0.0.1", min_length=1, max_length=253, description="Broker's host name or address")
    port: int = Field(1883, ge=1, le=65535, description="Broker's TCP port")
    protocol: Literal["3.1.1", "5"] = Field("3.1.1", description="MQTT version")
    client_id: str = Field(
        min_length=1, max_length=128, description="Fixed and unique at the broker: it names our session"
    )
    username: str | None = Field(None, description="User at the broker")
    password_file: Path | None = Field(None, description="File that holds the password; not readable by others")
    keepalive_s: int = Field(30, ge=1, le=65535, description="A silent connection is given up after at most twice this")
    qos: Literal[0, 1] = Field(1, description="1: nothing is lost; 0: the broker drops what we cannot take at once")
    topics: tuple[TopicRule, ...] = Field(min_length=1, description="What to subscribe to and how to read it")
    max_payload_bytes: int = Field(65536, ge=1, le=1 << 24, description="A larger payload is counted as bad")
    max_inflight: int = Field(1000, ge=1, le=32767, description="Messages on the way to the store (receive maximum)")
    session_expiry_s: int = Field(
        7 * 86400, ge=60, le=0xFFFFFFFF, description="MQTT 5: how long the broker keeps our session"
    )
    stale_after_s: float = Field(60.0, gt=0, description="Without data for longer the source is stale")
    connect_timeout_s: float = Field(5.0, gt=0, le=60, description="To connect and to be accepted")
    reconnect_max_s: float = Field(30.0, gt=0, description="Longest pause between two attempts to connect")

    @model_validator(mode="after")
    def _password_needs_user(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username")
        return self


class Register(_Part):
    """One value in a Modbus device: real = raw × scale + offset."""

    tag: str = Field(min_length=1, max_length=200, description="Name of the signal")
    table: Literal["holding", "input"] = Field("holding", description="Function code 3 (holding) or 4 (input)")
    address: int = Field(ge=0, le=65535, description="From 0, as in the request; register 40001 is holding 0")
    type: Literal["int16", "uint16", "int32", "uint32", "float32"] = Field(
        "uint16", description="How the bits are read"
    )
    order: Literal["ABCD", "CDAB", "BADC", "DCBA"] = Field(
        "ABCD", description="Order of the bytes on the wire; A is the highest"
    )
    scale: float = Field(1.0, allow_inf_nan=False, description="Factor")
    offset: float = Field(0.0, allow_inf_nan=False, description="Added after scaling")
    period_s: float | None = Field(None, ge=0.05, le=86400, description="Its own period, else the source's")

    @property
    def words(self) -> int:
        """Registers taken: 1 or 2."""
        return 2 if self.type in WIDE else 1

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if self.address + self.words > 65536:
            raise ValueError(f"address {self.address}: a {self.type} needs two registers")
        return self


class ModbusSettings(_Part):
    """A Modbus TCP device and the registers we read. There is no way to write."""

    type: Literal["modbus"] = Field(description="The protocol")
    host: str = Field(min_length=1, max_length=253, description="Device's host name or address")
    port: int = Field(502, ge=1, le=65535, description="Device's TCP port")
    unit: int = Field(1, ge=0, le=255, description="Unit identifier; behind a gateway, the device's number")
    period_s: float = Field(1.0, ge=0.05, le=86400, description="Time between two readings")
    timeout_s: float = Field(1.0, gt=0, le=60, description="To connect, and for each answer")
    max_block: int = Field(120, ge=2, le=125, description="Registers in one request at most")
    max_gap: int = Field(8, ge=0, le=123, description="Unused registers read along to save a request")
    stale_after_s: float = Field(10.0, gt=0, description="Without data for longer the source is stale")
    reconnect_max_s: float = Field(10.0, gt=0, description="Longest pause between two attempts to connect")
    registers: tuple[Register, ...] = Field(min_length=1, description="What to read")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        tags = [register.tag for register in self.registers]
        if twice := sorted({tag for tag in tags if tags.count(tag) > 1}):
            raise ValueError(f"tag {twice[0]!r} stands twice")
        return self


def read_secret(field: str, path: Path) -> str:
    """The first line of a secret's file. Raises ConfigError if it cannot be read or everybody can read it."""
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ConfigError(field, str(path), "every user can read it; chmod o-rw")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(field, str(path), f"cannot be read: {type(error).__name__}") from error
    if not lines or not lines[0]:
        raise ConfigError(field, str(path), "is empty")
    return lines[0]
