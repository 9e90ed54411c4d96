"""Topics and payloads of Sparkplug B, in and out. Pure: whatever the bytes are, a Message or BadSignal.

Payloads are parsed by protobuf (payload.proto); nothing in them nests deeper than properties of a metric.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

import orjson
from google.protobuf.message import DecodeError

from agent.collectors.mqtt.reader import Outgoing
from agent.collectors.sparkplug.payload_pb2 import Metric, Payload
from agent.collectors.sparkplug.values import BOOLEAN
from agent.errors import BadSignal

NAMESPACE = "spBv1.0"
REBIRTH = "Node Control/Rebirth"
_COMPRESSED = "SPBV1.0_COMPRESSED"
_OF_NODES = frozenset(("NBIRTH", "NDATA", "NDEATH", "NCMD"))
_OF_DEVICES = frozenset(("DBIRTH", "DDATA", "DDEATH", "DCMD"))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message comes from. `device` is "" for the node itself; `kind` is NBIRTH, DDATA … or STATE."""

    kind: str
    group: str
    node: str
    device: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """A payload and where it comes from; `digest` recognises the same message again."""

    address: Address
    payload: Payload
    digest: int
    received_at: datetime


def address(topic: str) -> Address:
    """Raises BadSignal: bad_topic for what is not Sparkplug's or cannot be read, unexpected_topic for other verbs."""
    if not topic.isprintable() or "+" in topic or "#" in topic:
        raise BadSignal("bad_topic", repr(topic))
    levels = topic.split("/")
    if levels[0] != NAMESPACE or not all(levels):
        raise BadSignal("bad_topic", topic)
    if len(levels) == 3 and levels[1] == "STATE":
        return Address("STATE", "", levels[2])
    if len(levels) == 4 and levels[2] in _OF_NODES:
        return Address(levels[2], levels[1], levels[3])
    if len(levels) == 5 and levels[2] in _OF_DEVICES:
        return Address(levels[2], levels[1], levels[3], levels[4])
    raise BadSignal("unexpected_topic", topic)


def parse(payload: bytes, max_bytes: int) -> Payload:
    """Raises BadSignal: too_large (also when unpacked), not_protobuf, bad_compression."""
    outer = _parse(payload, max_bytes)
    if outer.uuid != _COMPRESSED:
        return outer
    inner = _parse(_unpack(outer.body, max_bytes), max_bytes)
    if inner.uuid == _COMPRESSED:
        raise BadSignal("bad_compression", "compressed twice")
    if not inner.HasField("seq") and outer.HasField("seq"):
        inner.seq = outer.seq
    if not inner.HasField("timestamp") and outer.HasField("timestamp"):
        inner.timestamp = outer.timestamp
    return inner


def _parse(payload: bytes, max_bytes: int) -> Payload:
    if len(payload) > max_bytes:
        raise BadSignal("too_large", f"{len(payload)} bytes")
    try:
        return Payload.FromString(payload)
    except DecodeError:
        raise BadSignal("not_protobuf", repr(payload[:100])) from None


def _unpack(body: bytes, max_bytes: int) -> bytes:
    """Gzip, or deflate with or without zlib's header: the bytes themselves say which."""
    kinds = (31,) if body[:2] == b"\x1f\x8b" else (15, -15)
    for wbits in kinds:
        unpack = zlib.decompressobj(wbits)
        try:
            plain = unpack.decompress(body, max_bytes + 1)
        except zlib.error:
            continue
        if len(plain) > max_bytes:
            raise BadSignal("too_large", "when unpacked")
        if unpack.eof:
            return plain
    raise BadSignal("bad_compression", repr(body[:100]))


def milliseconds(at: datetime) -> int:
    """Since 1970, as Sparkplug counts."""
    return round(at.timestamp() * 1000)


def rebirth(group: str, node: str, now: datetime) -> Outgoing:
    """The only command we ever give: tell us everything again."""
    ms = milliseconds(now)
    metric = Metric(name=REBIRTH, timestamp=ms, datatype=BOOLEAN, boolean_value=True)
    body = Payload(timestamp=ms, metrics=[metric]).SerializeToString()
    return Outgoing(f"{NAMESPACE}/{group}/NCMD/{node}", body)


def state(host_id: str, online: bool, ms: int) -> Outgoing:
    """The STATE of a host application (3.0), as birth and as death."""
    body = orjson.dumps({"online": online, "timestamp": ms})
    return Outgoing(f"{NAMESPACE}/STATE/{host_id}", body, 1, True)


def says_offline(payload: bytes) -> bool:
    """A STATE message says that its host is away. Raises BadSignal: bad_state."""
    try:
        said = orjson.loads(payload) if len(payload) <= 4096 else None
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("online"), bool):
        raise BadSignal("bad_state", repr(payload[:100]))
    return not said["online"]
