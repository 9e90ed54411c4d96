"""OPC UA: a subscription of data changes through asyncua; never writes, calls no method. See opcua.README.md.

Values wait in the server's queues while a batch is on its way to the store: no Publish request is sent before there is
room here. What was lost in there, the server marks on the value, and it is counted.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
import re
from binascii import Error as NotBase64
from datetime import UTC, datetime
from importlib import import_module
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from agent.clock import Clock
from agent.collectors.settings import Part
from agent.errors import AgentError, BadSignal, ConfigError
from agent.model import Emit, Quality, Signal, SourceHealth

if TYPE_CHECKING:
    from agent.collectors.opcua_link import Link

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_WAIT_S = 0.5, 5.0
_HELD = 8
"""Answers of the server that may wait for the store, each with at most MOST values (opcua_link)."""
_BATCH = 1000
_RETRY_NODES_S = 60.0
_LONGEST_TEXT = 1000
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


class OpcuaNode(Part):
    """One variable of the server, or one element of an array."""

    tag: str = Field(min_length=1, max_length=200, description="Name of the signal")
    node: str = Field(
        max_length=4096, description='Node id: "ns=2;s=Line3.Width", "i=2258" or "nsu=http://maker/ua;s=Line3.Width"'
    )
    index: int | None = Field(None, ge=0, le=1_000_000, description="Which element, if the value is an array; from 0")
    sampling_s: float | None = Field(
        None, ge=0, le=86400, description="Its own sampling interval; 0: as fast as the server can"
    )
    queue_size: int | None = Field(None, ge=1, le=100_000, description="Its own queue in the server")
    deadband: float = Field(0.0, ge=0, allow_inf_nan=False, description="Smaller changes are not reported; 0: all are")
    deadband_kind: Literal["absolute", "percent"] = Field(
        "absolute", description="In units of the value, or in percent of the range that the server states (EURange)"
    )
    trigger: Literal["value", "timestamp"] = Field(
        "value", description="timestamp: the same value measured again is reported too"
    )
    texts: dict[str, str] = Field(default_factory=dict, description="Words for the numbers of an enumeration")

    @field_validator("node")
    @classmethod
    def _node(cls, value: str) -> str:
        match = re.fullmatch(r"(?:ns=(\d{1,5});|nsu=([^;]+);)?([isgb])=(.+)", value, re.S)
        hint = 'a node id such as "ns=2;s=Line3.Width", "i=2258" or "nsu=http://maker/ua;i=7"'
        if match is None or int(match[1] or 0) > 65535:
            raise ValueError(hint)
        try:
            if match[3] == "i" and not (match[4].isascii() and match[4].isdigit() and int(match[4]) < 2**32):
                raise ValueError
            if match[3] == "g":
                UUID(match[4])
            if match[3] == "b":
                base64.b64decode(match[4], validate=True)
        except (ValueError, NotBase64):
            raise ValueError(f"{hint}; {match[4][:40]!r} is no identifier of the kind {match[3]}=") from None
        return value


class OpcuaSettings(Part):
    """An OPC UA server and the variables we watch. There is no way to write."""

    type: Literal["opcua"] = Field(description="The protocol; needs the extra opcua")
    url: str = Field(max_length=4096, description="The server's endpoint: opc.tcp://host:4840/path")
    security_policy: Literal["None", "Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"] = Field(
        "None", description="Security policy; all but None need certificate_file, key_file and a trusted server"
    )
    security_mode: Literal["Sign", "SignAndEncrypt"] = Field(
        "SignAndEncrypt", description="Whether messages are also encrypted; of no meaning with policy None"
    )
    certificate_file: Path | None = Field(None, description="Our certificate, PEM or DER")
    key_file: Path | None = Field(None, description="Its private key, PEM or DER; not readable by others")
    key_password_file: Path | None = Field(None, description="File that holds the password of key_file")
    server_certificate_file: Path | None = Field(None, description="The one certificate that the server may show")
    trust_dir: Path | None = Field(
        None, description="Folder of certificates (PEM or DER) of trusted servers, or of the CAs that sign them"
    )
    application_uri: str | None = Field(None, description="Our application URI; else the one in our certificate")
    username: str | None = Field(None, description="User at the server; without user and user certificate: anonymous")
    password_file: Path | None = Field(None, description="File that holds the password; not readable by others")
    user_certificate_file: Path | None = Field(None, description="Certificate of the user, instead of a password")
    user_key_file: Path | None = Field(None, description="Its private key; not readable by others")
    publish_s: float = Field(0.5, ge=0.05, le=3600, description="How often the server sends what has changed")
    sampling_s: float = Field(
        0.25, ge=0, le=86400, description="How often the server looks at a variable; 0: as fast as it can"
    )
    queue_size: int = Field(
        100, ge=1, le=100_000, description="Changes of a variable kept in the server until it sends them"
    )
    keepalive_s: float = Field(5.0, ge=0.5, le=3600, description="A server silent for longer than this is given up")
    keep_s: float = Field(
        120.0, ge=10, le=86400, description="How long the server keeps our session and its queues while we are away"
    )
    timeout_s: float = Field(5.0, gt=0, le=60, description="To connect, and for each answer")
    stale_after_s: float = Field(60.0, gt=0, le=31_536_000, description="Without data for longer the source is stale")
    reconnect_max_s: float = Field(30.0, gt=0, description="Longest pause between two attempts to connect")
    nodes: tuple[OpcuaNode, ...] = Field(min_length=1, description="What to watch")

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        hint = "write opc.tcp://host:4840/path; user and password have settings of their own"
        try:
            parts = urlsplit(value)
            good = parts.scheme == "opc.tcp" and parts.hostname and parts.port and "@" not in parts.netloc
        except ValueError as error:
            raise ValueError(hint) from error
        if not good:
            raise ValueError(hint)
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        tags = [node.tag for node in self.nodes]
        if twice := sorted({tag for tag in tags if tags.count(tag) > 1}):
            raise ValueError(f"tag {twice[0]!r} stands twice")
        if self.security_policy != "None":
            if self.certificate_file is None or self.key_file is None:
                raise ValueError(f"security_policy {self.security_policy} needs certificate_file and key_file")
            if self.server_certificate_file is None and self.trust_dir is None:
                raise ValueError(
                    f"security_policy {self.security_policy} needs to know whom to trust: name "
                    "server_certificate_file or trust_dir"
                )
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file belong together")
        if (self.user_certificate_file is None) != (self.user_key_file is None):
            raise ValueError("user_certificate_file and user_key_file belong together")
        if self.username is not None and self.user_certificate_file is not None:
            raise ValueError("either a username or a user_certificate_file, not both")
        return self


class OpcuaCollector:
    """One server. Connects for ever; a short cut of the line loses nothing that the server's queues can hold."""

    def __init__(self, name: str, settings: OpcuaSettings, clock: Clock, health: SourceHealth) -> None:
        self._name, self._settings, self._clock, self._health = name, settings, clock, health
        self._bad: set[str] = set()
        self._was_up = False

    async def run(self, emit: Emit) -> None:
        """Collect until cancelled. Raises ConfigError for a missing library or an unreadable file, and whatever `emit`
        raises beyond AgentError."""
        link = self._link()
        held: asyncio.Queue[list[Signal]] = asyncio.Queue(_HELD)
        pump = asyncio.create_task(self._pump(held, emit), name=f"opcua-{self._name}-store")
        watch = asyncio.create_task(self._watch(link, held), name=f"opcua-{self._name}")
        try:
            done, _ = await asyncio.wait({pump, watch}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            self._health.state = "down"
            pump.cancel()
            watch.cancel()
            await asyncio.gather(pump, watch, return_exceptions=True)
            await link.leave()

    def _link(self) -> Link:
        """The connection; this is where the library is loaded. Raises ConfigError."""
        try:
            module = import_module("agent.collectors.opcua_link")
        except ModuleNotFoundError as error:
            hint = f"{error.name} is missing; install the extra: pip install 'andon-gateway[opcua]'"
            self._health.bad("library_missing", hint)
            raise ConfigError(f"sources.{self._name}.type", "opcua", hint) from error
        link: Link = module.Link(self._name, self._settings, self._clock, self._health)
        return link

    async def _watch(self, link: Link, held: asyncio.Queue[list[Signal]]) -> None:
        """Connect, receive, and when the connection is lost begin again; the pause grows while none is fruitful."""
        pause = _FIRST_PAUSE_S
        while True:
            lost = await self._connection(link, held)
            if link.fruitful:
                pause = _FIRST_PAUSE_S
            self._down(*lost.args)
            await self._turn_bad([node.tag for node in self._settings.nodes], held)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
            pause = min(self._settings.reconnect_max_s, pause * 2)

    async def _connection(self, link: Link, held: asyncio.Queue[list[Signal]]) -> Exception:
        """One connection from its beginning to its end; why it ended."""
        try:
            if self._health.state == "starting":
                self._health.state = "connecting"
            await link.connect()
            loop = asyncio.get_running_loop()
            again_at = loop.time()
            while True:
                if link.missing and loop.time() >= again_at:
                    await self._turn_bad(await link.watch_missing(), held)
                    again_at = loop.time() + _RETRY_NODES_S
                signals = await link.receive()
                self._up()
                if signals:
                    self._bad -= {signal.tag for signal in signals if signal.quality is not Quality.BAD}
                    if held.full():
                        self._health.bad("opcua_held_back", "the store is slow; values wait in the server's queues")
                    await held.put(signals)
        except link.LOST as lost:
            return link.why(lost)

    def _up(self) -> None:
        if self._health.state == "up":
            return
        log.info("opcua %s: up", self._name)
        self._health.state = "up"
        self._health.reconnects += self._was_up
        self._was_up = True

    def _down(self, kind: str, detail: str) -> None:
        self._health.bad(kind, detail)
        if self._health.state != "down":
            log.warning("opcua %s: %s: %s", self._name, kind, detail)
        self._health.state = "down"

    async def _turn_bad(self, tags: list[str], held: asyncio.Queue[list[Signal]]) -> None:
        """Say it once; a tag stays bad until a value comes."""
        now = self._clock.now()
        fresh = [tag for tag in tags if tag not in self._bad]
        self._bad.update(fresh)
        if fresh:
            await held.put([Signal(self._name, tag, None, now, quality=Quality.BAD) for tag in fresh])

    async def _pump(self, held: asyncio.Queue[list[Signal]], emit: Emit) -> None:
        """Hand over what is held, in order; while one commit runs the next batch gathers."""
        while True:
            batch = await held.get()
            while len(batch) < _BATCH and not held.empty():
                batch = batch + held.get_nowait()
            good = [signal for signal in batch if signal.quality is not Quality.BAD]
            if good:
                self._health.received += len(good)
                self._health.last_data_at = good[-1].received_at
            pause = 0.1
            while not await self._kept(batch, emit):
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
                pause = min(_LONGEST_WAIT_S, pause * 2)

    async def _kept(self, batch: list[Signal], emit: Emit) -> bool:
        try:
            await emit(batch)
        except AgentError as error:
            self._health.bad("not_stored", str(error))
            return False
        return True


# ---- what a value means; pure ----


def quality_of(status: int) -> Quality:
    """The severity of a StatusCode, its two highest bits; what is reserved counts as bad (Part 4, 7.39)."""
    return (Quality.GOOD, Quality.UNCERTAIN, Quality.BAD, Quality.BAD)[status >> 30 & 3]


def source_time(at: datetime | None) -> datetime | None:
    """The time of the source in UTC; None if it gave none. Raises BadSignal for one that cannot be true."""
    if at is None or at.year <= 1601:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    if not _FIRST <= at < _LAST:
        raise BadSignal("bad_time", str(at))
    return at.astimezone(UTC)


def number_or_text(value: Any, index: int | None) -> tuple[float | None, str | None]:
    """A value as a number, or else as text. Raises BadSignal: no_value, no_such_index, not_finite, not_utf8, too_large,
    unreadable_type."""
    if index is not None:
        if not isinstance(value, list) or index >= len(value):
            raise BadSignal("no_such_index", f"[{index}] of {_shown(value)}")
        value = value[index]
    if value is None:
        raise BadSignal("no_value")
    if isinstance(value, (bool, int, float)):
        return _real(value), None
    if isinstance(value, datetime):
        return None, value.isoformat()
    if isinstance(value, UUID):
        return None, str(value)
    text = getattr(value, "Text", getattr(value, "Name", value))  # LocalizedText, QualifiedName
    status = getattr(value, "value", None)
    if isinstance(status, int):  # a StatusCode as the value
        return float(status), None
    if not isinstance(text, str):
        raise BadSignal("unreadable_type", _shown(value))
    if len(text) > _LONGEST_TEXT:
        raise BadSignal("too_large", f"{len(text)} characters")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise BadSignal("not_utf8", repr(text[:50]))
    return None, text


def _real(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        raise BadSignal("not_finite") from None
    if not isfinite(number):
        raise BadSignal("not_finite", str(number))
    return number


def _shown(value: Any) -> str:
    return f"{len(value)} elements" if isinstance(value, list) else type(value).__name__
