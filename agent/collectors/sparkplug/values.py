"""The value of a metric by its Sparkplug datatype. Pure: a parsed metric in, numbers and texts out, or BadSignal."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isfinite

from agent.collectors.sparkplug.payload_pb2 import Metric, PropertyValue
from agent.errors import BadSignal
from agent.model import Quality

MAX_ARRAY = 1000
MAX_TEXT = 4096
_EXACT = 1 << 53
"""From here on a float no longer holds every integer; the text then says it exactly."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = 946_684_800_000, 4_102_444_800_000
"""Believable times, in ms: 2000-01-01 to 2100-01-01."""

FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, TEXT, UUID = 9, 10, 11, 12, 13, 14, 15
_INTEGERS = {1: (8, True), 2: (16, True), 3: (32, True), 4: (64, True)} | {
    5: (8, False),
    6: (16, False),
    7: (32, False),
    8: (64, False),
}
UNSUPPORTED = {16: "dataset", 17: "bytes", 18: "file", 19: "template", 20: "propertyset", 21: "propertysets"}
_PACKED = {22: "b", 23: "h", 24: "i", 25: "q", 26: "B", 27: "H", 28: "I", 29: "Q", 30: "f", 31: "d"}
_BOOLEANS, _STRINGS, _DATETIMES = 32, 33, 34
ARRAYS = frozenset((*_PACKED, _BOOLEANS, _STRINGS, _DATETIMES))


@dataclass(frozen=True, slots=True)
class Value:
    """A number, or what was said in words, or both for what a float cannot hold."""

    number: float | None
    text: str | None = None


def scalar(datatype: int, metric: Metric) -> Value:
    """The value of a metric that is no array. Raises BadSignal: unsupported_…, no_value, wrong_type, out_of_range,
    not_finite, not_utf8, too_long."""
    held = metric.WhichOneof("value")
    if datatype in UNSUPPORTED:
        raise BadSignal(f"unsupported_{UNSUPPORTED[datatype]}")
    if held is None:
        raise BadSignal("no_value")
    if datatype in _INTEGERS:
        return _exact(_integer(*_INTEGERS[datatype], _whole(metric, held)))
    if datatype in (FLOAT, DOUBLE):
        if held not in ("float_value", "double_value"):
            raise BadSignal("wrong_type", held)
        return Value(_finite(getattr(metric, held)))
    if datatype == BOOLEAN:
        truth = metric.boolean_value if held == "boolean_value" else _integer(1, False, _whole(metric, held))
        return Value(float(truth))
    if datatype in (STRING, TEXT, UUID):
        if held != "string_value":
            raise BadSignal("wrong_type", held)
        return Value(None, _words(metric.string_value))
    if datatype == DATETIME:
        return _time(_whole(metric, held))
    raise BadSignal("unsupported_type", str(datatype))


def array(datatype: int, metric: Metric) -> list[Value]:
    """The elements of an array of Sparkplug 3.0. Raises BadSignal as `scalar` does, and bad_array."""
    held = metric.WhichOneof("value")
    if held is None:
        raise BadSignal("no_value")
    if held != "bytes_value":
        raise BadSignal("wrong_type", held)
    packed: bytes = metric.bytes_value
    if datatype == _BOOLEANS:
        return _booleans(packed)
    if datatype == _STRINGS:
        return _strings(packed)
    code = "Q" if datatype == _DATETIMES else _PACKED[datatype]
    size = struct.calcsize("<" + code)
    if len(packed) % size:
        raise BadSignal("bad_array", f"{len(packed)} bytes")
    _bounded(len(packed) // size)
    numbers = [number for (number,) in struct.iter_unpack("<" + code, packed)]
    if datatype == _DATETIMES:
        return [_time(number) for number in numbers]
    return [Value(_finite(n)) if isinstance(n, float) else _exact(n) for n in numbers]


def quality(value: PropertyValue) -> Quality | None:
    """A metric's property "Quality"; None if it says nothing that can be understood.

    The specification knows 0, 192 and 500. Other codes are read as OPC's, of which these are: 64 to 127 uncertain,
    192 to 255 good.
    """
    held = value.WhichOneof("value")
    code = getattr(value, held) if held in ("int_value", "long_value") and not value.is_null else None
    if code is None:
        return None
    if code == 500:
        return Quality.STALE
    if 192 <= code <= 255:
        return Quality.GOOD
    return Quality.BAD if code <= 63 else Quality.UNCERTAIN


def moment(ms: int) -> datetime | None:
    """A time from ms since 1970; None if it cannot be true (before 2000, after 2099)."""
    return _EPOCH + timedelta(milliseconds=ms) if _FIRST <= ms < _LAST else None


def _whole(metric: Metric, held: str) -> int:
    if held == "int_value":
        return int(metric.int_value)
    if held == "long_value":
        return int(metric.long_value)
    raise BadSignal("wrong_type", held)


def _integer(bits: int, signed: bool, raw: int) -> int:
    """Two's complement of `bits`, which may have been widened to the 32 or 64 bits of the field."""
    span = 1 << bits
    if not signed and raw < span:
        return raw
    if signed:
        for width in (span, 1 << 32, 1 << 64):
            if raw < width:
                value = raw - width if raw >= width // 2 else raw
                if -span // 2 <= value < span // 2:
                    return value
    raise BadSignal("out_of_range", str(raw))


def _exact(number: int) -> Value:
    return Value(float(number), str(number) if abs(number) > _EXACT else None)


def _finite(number: float) -> float:
    if not isfinite(number):
        raise BadSignal("not_finite", str(number))
    return number


def _words(text: object) -> str:
    if not isinstance(text, str):  # protobuf gives bytes if it is not UTF-8
        raise BadSignal("not_utf8")
    if len(text) > MAX_TEXT:
        raise BadSignal("too_long", f"{len(text)} characters")
    return text


def _time(ms: int) -> Value:
    at = moment(ms)
    return Value(float(ms), None if at is None else at.isoformat(timespec="milliseconds"))


def _bounded(count: int) -> None:
    if count > MAX_ARRAY:
        raise BadSignal("too_long", f"{count} elements")


def _booleans(packed: bytes) -> list[Value]:
    """A count of 4 bytes, then bits, the highest of each byte first."""
    count = int.from_bytes(packed[:4], "little")
    if len(packed) < 4 or len(packed) - 4 != (count + 7) // 8:
        raise BadSignal("bad_array", f"{len(packed)} bytes")
    _bounded(count)
    return [Value(float(packed[4 + n // 8] >> (7 - n % 8) & 1)) for n in range(count)]


def _strings(packed: bytes) -> list[Value]:
    """Each string ends with a zero byte."""
    _bounded(packed.count(0))
    if packed and packed[-1]:
        raise BadSignal("bad_array", "the last string has no end")
    try:
        return [Value(None, _words(part.decode("utf-8"))) for part in packed.split(b"\0")[:-1]]
    except UnicodeDecodeError:
        raise BadSignal("not_utf8") from None
