"""Reads an MQTT payload as signals. Pure: bytes in, signals out, or BadSignal; whatever the bytes are, nothing else.

JSON is parsed by orjson: strict UTF-8, no NaN, Infinity or overflow, nesting at most 1024 deep (README of orjson 3.13).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from math import isfinite
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from agent.collectors.mqtt.settings import TopicRule
from agent.errors import BadSignal
from agent.model import Signal

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NO_NUMBER = re.compile(rb"(?<![\w\"])[+-]?(?:nan|inf|infinity)(?![\w\"])", re.IGNORECASE)
_PLACE = re.compile(r"\{(topic|[0-9]{1,2})\}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = 946_684_800, 4_102_444_800
"""Believable times, in seconds: 2000-01-01 to 2100-01-01. The ranges of s, ms, µs and ns do not overlap."""
_LONGEST_ID = 200
_ABSENT: Any = object()


@dataclass(frozen=True, slots=True)
class Rule:
    """A TopicRule made ready for use."""

    source: str
    filter: str
    value: str
    time: str | None
    id: str | None
    tag: str
    zone: tzinfo
    max_bytes: int

    @classmethod
    def of(cls, source: str, rule: TopicRule, max_bytes: int) -> Rule:
        """`source` is the source's name, `max_bytes` the largest payload that is looked at."""
        return cls(source, rule.filter, rule.value, rule.time, rule.id, rule.tag, ZoneInfo(rule.time_zone), max_bytes)


def decode(rule: Rule, topic: str, payload: bytes, received_at: datetime) -> list[Signal]:
    """The signals of one message: one for an object or a bare number, one an item for an array of objects.

    A message is read whole or not at all. Raises BadSignal: too_large, bad_topic, not_utf8, not_json, not_finite,
    too_deep, not_an_object, missing_key, not_a_number, bad_time, bad_id.
    """
    try:
        if len(payload) > rule.max_bytes:
            raise BadSignal("too_large", f"{len(payload)} bytes")
        tag = _tag(rule.tag, topic)
        if rule.value == "":
            return [Signal(rule.source, tag, _number(_text(payload)), received_at)]
        body = _parse(payload)
        items = body if isinstance(body, list) else [body]
        return [_signal(rule, tag, item, received_at) for item in items]
    except BadSignal as bad:
        raise BadSignal(bad.kind, f"{topic[:60]!r} {bad.sample or repr(payload[:100])}") from None


def _signal(rule: Rule, tag: str, item: Any, received_at: datetime) -> Signal:
    if not isinstance(item, dict):
        raise BadSignal("not_an_object")
    raw = _dig(item, rule.value)
    if raw is _ABSENT:
        raise BadSignal("missing_key")
    at = None if rule.time is None else _moment(_dig(item, rule.time), rule.zone)
    event = None if rule.id is None else _event(_dig(item, rule.id))
    return Signal(rule.source, tag, _number(raw), received_at, at, id=event)


def _parse(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        _text(payload)
        why = str(error)
        if "infinity" in why or _NO_NUMBER.search(payload[:4096]):
            raise BadSignal("not_finite") from None
        raise BadSignal("too_deep" if "depth" in why else "not_json") from None


def _text(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        raise BadSignal("not_utf8") from None


def _tag(template: str, topic: str) -> str:
    """Fill the template in; the topic must be printable, since it becomes a name that people read."""
    if not topic.isprintable():
        raise BadSignal("bad_topic")
    if template == "{topic}":
        return topic
    levels = topic.split("/")

    def fill(match: re.Match[str]) -> str:
        place = match[1]
        if place == "topic":
            return topic
        if int(place) >= len(levels):
            raise BadSignal("bad_topic")
        return levels[int(place)]

    return _PLACE.sub(fill, template)


def _dig(item: Any, key: str) -> Any:
    """`item[key]`, or what lies along the key's dots; _ABSENT if nothing does."""
    if key in item:
        return item[key]
    for part in key.split("."):
        if isinstance(item, dict):
            item = item.get(part, _ABSENT)
        elif isinstance(item, list) and part.isdecimal() and int(part) < len(item):
            item = item[int(part)]
        else:
            return _ABSENT
    return item


def _number(raw: Any) -> float:
    """A finite float from a number or a numeric string; true and false are no numbers."""
    if isinstance(raw, str):
        raw = raw.strip()
        if len(raw) > 64 or not _NUMBER.fullmatch(raw):
            raise BadSignal("not_finite" if _NO_NUMBER.fullmatch(raw[:64].encode()) else "not_a_number")
    elif isinstance(raw, bool) or not isinstance(raw, (int, float)):
        raise BadSignal("not_a_number")
    value = float(raw)
    if not isfinite(value):
        raise BadSignal("not_finite")
    return value


def _moment(raw: Any, zone: tzinfo) -> datetime | None:
    """A time in UTC from epoch s, ms, µs, ns or ISO 8601; None if there is none that can be understood.

    Raises BadSignal for a time that is understood and cannot be true (before 2000, after 2099).
    """
    if isinstance(raw, str):
        if not _NUMBER.fullmatch(raw) or len(raw) > 32:
            return _iso(raw, zone)
        raw = float(raw) if set(raw) & set(".eE") else int(raw)
    if isinstance(raw, bool) or not isinstance(raw, (int, float)):
        return None
    for unit in (1, 1_000, 1_000_000, 1_000_000_000):
        if _FIRST * unit <= raw < _LAST * unit:
            micros = raw * 1_000_000 // unit if isinstance(raw, int) else round(raw * (1_000_000 / unit))
            return _EPOCH + timedelta(microseconds=micros)
    raise BadSignal("bad_time")


def _iso(text: str, zone: tzinfo) -> datetime | None:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    try:
        at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise BadSignal("bad_time") from None
    if not _FIRST <= (at - _EPOCH).total_seconds() < _LAST:
        raise BadSignal("bad_time")
    return at


def _event(raw: Any) -> str | None:
    """The device's event id; None if it sent none."""
    if raw is _ABSENT or raw is None or raw == "":
        return None
    if isinstance(raw, bool) or not isinstance(raw, (str, int)):
        raise BadSignal("bad_id")
    event = str(raw)
    if len(event) > _LONGEST_ID or not event.isprintable():
        raise BadSignal("bad_id")
    return event
