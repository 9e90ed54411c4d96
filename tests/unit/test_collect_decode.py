"""Payload → signals: what is read, what is refused and why, and that nothing else can happen."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.collectors.mqtt.decode import Rule, decode
from agent.collectors.mqtt.settings import TopicRule
from agent.errors import BadSignal
from agent.model import Signal

NOW = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
AT = datetime(2026, 11, 22, 2, 29, 59, 123456, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROS = (AT - EPOCH) // timedelta(microseconds=1)


def rule(max_bytes=65536, **over):
    return Rule.of("coater", TopicRule(filter="#", **over), max_bytes)


def read(payload, topic="l3/coater/density", **over):
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode(rule(**over), topic, body, NOW)


def kind_of(payload, topic="l3/density", **over):
    with pytest.raises(BadSignal) as error:
        read(payload, topic, **over)
    assert len(error.value.sample) <= 200
    return error.value.kind


def test_an_object_gives_one_signal_with_both_times_and_its_id():
    assert read({"ts": MICROS, "value": 190.4, "id": "h1-7"}) == [
        Signal("coater", "l3/coater/density", 190.4, NOW, AT, id="h1-7")
    ]


def test_an_array_gives_one_signal_an_item_and_is_read_whole_or_not_at_all():
    items = [{"value": 1, "id": 1}, {"value": 2, "id": 2}]
    assert [(s.value, s.id) for s in read(items)] == [(1.0, "1"), (2.0, "2")]
    assert kind_of([*items, {"value": None}]) == "not_a_number"
    assert read([]) == []


@pytest.mark.parametrize(
    ("payload", "value"),
    [(b"23.5", 23.5), (b" -4\n", -4.0), (b"+1e3", 1000.0), (b".5", 0.5), (b"7.", 7.0), (b"007", 7.0)],
)
def test_a_bare_number(payload, value):
    assert [(s.value, s.source_at, s.id) for s in read(payload, value="")] == [(value, None, None)]


@pytest.mark.parametrize(
    ("body", "key"),
    [({"data": {"w": 3}}, "data.w"), ({"data": [1, {"w": 3}]}, "data.1.w"), ({"data.w": 3, "data": 1}, "data.w")],
)
def test_dots_lead_inwards_and_a_key_with_dots_is_found_first(body, key):
    assert read(body, value=key)[0].value == 3.0


@pytest.mark.parametrize(
    ("raw", "value"), [("12.5", 12.5), (" 3 ", 3.0), ("-1e-3", -0.001), (0, 0.0), (2**60, float(2**60)), (1e308, 1e308)]
)
def test_numbers_and_numeric_strings(raw, value):
    assert read({"value": raw})[0].value == value


@pytest.mark.parametrize("raw", [True, False, None, [], {}, "", "12,5", "1_000", "0x10", "٣", "abc", "1" * 65])
def test_what_is_no_number(raw):
    assert kind_of({"value": raw}) == "not_a_number"


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (b"\xff\xfe", "not_utf8"),
        (b'{"value": "\xc3("}', "not_utf8"),
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{'value': 1}", "not_json"),
        (b'{"value": 1} x', "not_json"),
        (b'{"value": NaN}', "not_finite"),
        (b'{"value": -Infinity}', "not_finite"),
        (b'{"value": 1e999}', "not_finite"),
        (b'{"value": "NaN"}', "not_finite"),
        (b'{"value": "1e999"}', "not_finite"),
        (b"[" * 100_000, "too_large"),
        (b"[" * 60_000, "too_deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "too_deep"),
        (b"3", "not_an_object"),
        (b'"3"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "missing_key"),
        (b'{"Value": 1}', "missing_key"),
    ],
)
def test_bad_payloads_are_told_apart(payload, kind):
    assert kind_of(payload) == kind


def test_bad_bare_numbers():
    assert [kind_of(p, value="") for p in (b"on", b"nan", b"1e999", b"\xff", b'{"value":1}', b"", b"1 2")] == [
        "not_a_number",
        "not_finite",
        "not_finite",
        "not_utf8",
        "not_a_number",
        "not_a_number",
        "not_a_number",
    ]


@pytest.mark.parametrize(
    "raw",
    [
        MICROS,
        MICROS * 1000,
        str(MICROS),
        "2026-11-22T02:29:59.123456Z",
        "2026-11-22T10:29:59.123456+08:00",
        "2026-11-22 02:29:59.123456",
    ],
)
def test_a_moment_is_the_same_in_every_notation(raw):
    assert read({"value": 1, "ts": raw})[0].source_at == AT


def test_seconds_and_milliseconds():
    assert read({"value": 1, "ts": MICROS // 10**6})[0].source_at == AT.replace(microsecond=0)
    assert read({"value": 1, "ts": MICROS // 10**3})[0].source_at == AT.replace(microsecond=123000)
    assert abs(read({"value": 1, "ts": MICROS / 10**6})[0].source_at - AT) <= timedelta(microseconds=1)
    assert abs(read({"value": 1, "ts": MICROS / 10**3})[0].source_at - AT) <= timedelta(microseconds=1)


def test_a_time_without_a_zone_is_read_in_the_rule_s():
    got = read({"value": 1, "ts": "2026-11-22T10:29:59"}, time_zone="Asia/Shanghai")[0].source_at
    assert got == datetime(2026, 11, 22, 10, 29, 59, tzinfo=timezone(timedelta(hours=8)))
    assert got.tzinfo is UTC


@pytest.mark.parametrize("raw", [None, "", "yesterday", True, {}, [1], "2026-13-01T00:00:00"])
def test_what_is_no_time_counts_as_none(raw):
    assert read({"value": 1, "ts": raw})[0].source_at is None


@pytest.mark.parametrize(
    "raw",
    [
        0,
        -1,
        12.5,
        5_000_000_000,
        10**30,
        "1e999",
        "1999-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
    ],
)
def test_a_time_that_cannot_be_true_is_refused(raw):
    assert kind_of({"value": 1, "ts": raw}) == "bad_time"


def test_keys_that_are_switched_off_are_not_looked_at():
    got = read({"value": 1, "ts": 0, "id": {}}, time="", id="")[0]
    assert (got.source_at, got.id) == (None, None)


@pytest.mark.parametrize(("raw", "event"), [(7, "7"), ("a-1", "a-1"), ("", None), (None, None)])
def test_ids(raw, event):
    assert read({"value": 1, "id": raw})[0].id == event


@pytest.mark.parametrize("raw", [True, 1.5, {}, "x" * 201, "a\0b", "a\nb"])
def test_ids_that_cannot_be_used(raw):
    assert kind_of({"value": 1, "id": raw}) == "bad_id"


def test_tags_from_the_topic():
    assert read({"value": 1}, "l3/coater/h2", tag="{0}.density.{2}")[0].tag == "l3.density.h2"
    assert read({"value": 1}, "a/b", tag="x.{topic}")[0].tag == "x.a/b"
    assert kind_of({"value": 1}, "a/b", tag="{2}") == "bad_topic"
    assert kind_of({"value": 1}, "a/\x07b") == "bad_topic"


def test_a_payload_above_the_limit_is_not_parsed():
    payload = b'{"value": 1' + b" " * 100 + b"}"
    assert kind_of(payload, max_bytes=100) == "too_large"
    assert read(payload, max_bytes=len(payload))[0].value == 1.0


leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
tree = st.recursive(
    leaf,
    lambda kids: st.lists(kids, max_size=3) | st.dictionaries(st.sampled_from(["value", "ts", "id", "x"]), kids),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(
    payload=st.binary(max_size=200) | tree.map(lambda t: json.dumps(t).encode()),
    topic=st.text(max_size=30),
    value=st.sampled_from(["", "value", "value.x", "x.0"]),
    tag=st.sampled_from(["{topic}", "{0}.{3}"]),
)
def test_whatever_the_bytes_are_it_gives_signals_or_bad_signal(payload, topic, value, tag):
    try:
        signals = decode(rule(value=value, tag=tag), topic, payload, NOW)
    except BadSignal as bad:
        assert bad.kind and len(bad.sample) <= 200
        return
    for signal in signals:
        assert isinstance(signal.value, float) and signal.value - signal.value == 0
        assert signal.source_at is None or signal.source_at.utcoffset() == timedelta(0)
        assert signal.id is None or 0 < len(signal.id) <= 200
