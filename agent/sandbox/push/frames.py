"""Frames of the long connection (protobuf "pbbp2", proto2), written and read by hand: no protobuf runtime is needed.

Field numbers as in lark-oapi 1.7.5, ws/pb/pbbp2_pb2.py: SeqID 1, LogID 2 (uint64), service 3, method 4 (int32), all
required; headers 5 (message {key 1, value 2}); payload_encoding 6, payload_type 7 (string), payload 8 (bytes),
LogIDNew 9 (string). Wire format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

CONTROL, DATA = 0, 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(slots=True)
class Frame:
    """One frame. `method` is CONTROL (ping, pong) or DATA; the type of a frame stands in its headers."""

    method: int
    headers: dict[str, str] = field(default_factory=dict)
    payload: bytes = b""
    service: int = 0
    seq_id: int = 0
    log_id: int = 0

    @property
    def type(self) -> str:
        return self.headers.get("type", "")


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    out = bytearray()
    for number, value in ((1, frame.seq_id), (2, frame.log_id), (3, frame.service), (4, frame.method)):
        out += _varint(number << 3 | _VARINT) + _varint(value)
    for key, text in frame.headers.items():
        out += _block(5, _block(1, key.encode()) + _block(2, text.encode()))
    if frame.payload:
        out += _block(8, frame.payload)
    return bytes(out)


def decode(data: bytes) -> Frame:
    """The frame in these bytes. Raises ValueError for anything else."""
    frame = Frame(CONTROL)
    seen = set()
    for number, value in _fields(data):
        seen.add(number)
        if number == 5 and isinstance(value, bytes):
            pair = {n: v for n, v in _fields(value) if isinstance(v, bytes)}
            frame.headers[pair.get(1, b"").decode()] = pair.get(2, b"").decode()
        elif number == 8 and isinstance(value, bytes):
            frame.payload = value
        elif number in (1, 2, 3, 4) and isinstance(value, int):
            setattr(frame, ("seq_id", "log_id", "service", "method")[number - 1], value)
    if not {1, 2, 3, 4} <= seen:
        raise ValueError(f"not a frame: fields {sorted(seen)}")
    return frame


def _varint(value: int) -> bytes:
    value &= 2**64 - 1  # negative int32 travel as ten bytes, two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _block(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _read_varint(data, at)
            yield tag >> 3, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            size, at = _read_varint(data, at)
        if size is None or at + size > len(data):
            raise ValueError(f"broken frame at byte {at}")
        yield tag >> 3, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError(f"broken number at byte {at}")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at
