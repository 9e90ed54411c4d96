"""Every Sparkplug datatype, read from what is on the wire; and bytes that are anything but Sparkplug."""

import gzip
import math
import struct
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import ManualClock
from agent.collectors.sparkplug.host import Host
from agent.collectors.sparkplug.payload_pb2 import Metric, Payload, PropertyValue
from agent.collectors.sparkplug.settings import SparkplugSettings
from agent.collectors.sparkplug.values import Value, array, quality, scalar
from agent.collectors.sparkplug.wire import Address, address, parse
from agent.errors import BadSignal
from agent.model import Quality

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("datatype", "held", "raw", "number"),
    [
        (1, "int_value", 0xFF, -1),
        (1, "int_value", 0x7F, 127),
        (1, "int_value", 0xFFFFFF80, -128),  # widened to the field's 32 bits
        (1, "long_value", 2**64 - 5, -5),  # and to 64
        (2, "int_value", 0x8000, -32768),
        (2, "int_value", 0xFFFF8000, -32768),
        (3, "int_value", 0xFFFFFFFF, -1),
        (3, "long_value", 0xFFFFFFFF, -1),
        (3, "int_value", 0x7FFFFFFF, 2147483647),
        (4, "long_value", 2**64 - 1, -1),
        (4, "int_value", 5, 5),
        (5, "int_value", 255, 255),
        (6, "int_value", 65535, 65535),
        (7, "int_value", 4294967295, 4294967295),
        (7, "long_value", 4294967295, 4294967295),
        (8, "long_value", 7, 7),
        (9, "float_value", 1.5, 1.5),
        (10, "double_value", 0.1, 0.1),
        (10, "float_value", 2.0, 2.0),
        (11, "boolean_value", True, 1),
        (11, "boolean_value", False, 0),
        (11, "int_value", 1, 1),
    ],
)
def test_numbers(datatype, held, raw, number):
    assert scalar(datatype, Metric(**{held: raw})) == Value(float(number))


def test_what_a_float_cannot_hold_is_said_in_words_too():
    assert scalar(8, Metric(long_value=2**64 - 1)) == Value(float(2**64 - 1), "18446744073709551615")
    assert scalar(4, Metric(long_value=2**64 - (2**53 + 1))) == Value(-float(2**53), "-9007199254740993")


def test_words_and_times():
    for datatype in (12, 14, 15):
        assert scalar(datatype, Metric(string_value="零件 7")) == Value(None, "零件 7")
    assert scalar(13, Metric(long_value=1_795_312_800_123)) == Value(
        1_795_312_800_123.0, "2026-11-22T02:00:00.123+00:00"
    )


@pytest.mark.parametrize(
    ("datatype", "metric", "kind"),
    [
        (16, Metric(dataset_value=b"\x08\x01"), "unsupported_dataset"),
        (17, Metric(bytes_value=b"x"), "unsupported_bytes"),
        (18, Metric(bytes_value=b"x"), "unsupported_file"),
        (19, Metric(template_value=b""), "unsupported_template"),
        (20, Metric(int_value=1), "unsupported_propertyset"),
        (99, Metric(int_value=1), "unsupported_type"),
        (0, Metric(int_value=1), "unsupported_type"),
        (3, Metric(), "no_value"),
        (1, Metric(int_value=300), "out_of_range"),
        (5, Metric(int_value=256), "out_of_range"),
        (7, Metric(long_value=2**32), "out_of_range"),
        (11, Metric(int_value=2), "out_of_range"),
        (3, Metric(float_value=1.0), "wrong_type"),
        (9, Metric(int_value=1), "wrong_type"),
        (12, Metric(int_value=1), "wrong_type"),
        (9, Metric(float_value=math.nan), "not_finite"),
        (10, Metric(double_value=-math.inf), "not_finite"),
        (12, Metric(string_value="x" * 5000), "too_long"),
    ],
)
def test_what_has_no_value_says_why(datatype, metric, kind):
    with pytest.raises(BadSignal) as problem:
        scalar(datatype, metric)
    assert problem.value.kind == kind


def numbers(datatype, packed):
    return [value.number for value in array(datatype, Metric(bytes_value=packed))]


def test_arrays_as_the_specification_shows_them():
    assert numbers(22, bytes([0xE9, 0x7B])) == [-23, 123]
    assert numbers(23, bytes([0xD0, 0x8A, 0x30, 0x75])) == [-30000, 30000]
    assert numbers(24, bytes([0xFF, 0xFF, 0xFF, 0xFF, 0xFA, 0xAF, 0xCB, 0x12])) == [-1, 315338746]
    assert array(25, Metric(bytes_value=bytes([0xCE, 0x06, 0x72, 0xAC, 0x18, 0x9C, 0xBA, 0xC4])))[0].text == (
        "-4270929666821191986"
    )
    assert numbers(26, bytes([0x17, 0xFA])) == [23, 250]
    assert numbers(27, bytes([0x1E, 0x00, 0x88, 0xCC])) == [30, 52360]
    assert numbers(28, bytes([0x34, 0, 0, 0, 0x49, 0xFB, 0x55, 0xC4])) == [52, 3293969225]
    assert numbers(29, struct.pack("<Q", 52)) == [52]
    assert numbers(30, struct.pack("<2f", 1.5, -2.25)) == [1.5, -2.25]
    assert numbers(31, struct.pack("<d", 12.354213)) == [12.354213]
    twelve = [0, 0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 1]
    assert numbers(32, bytes([0x0C, 0, 0, 0, 0x34, 0xDF])) == twelve
    assert [v.text for v in array(33, Metric(bytes_value=b"ABC\0hello\0"))] == ["ABC", "hello"]
    assert [v.text for v in array(34, Metric(bytes_value=struct.pack("<Q", 1_256_102_875_335)))] == [
        "2009-10-21T05:27:55.335+00:00"
    ]
    assert [array(kind, Metric(bytes_value=b"")) for kind in (22, 30, 33)] == [[], [], []]


@pytest.mark.parametrize(
    ("datatype", "packed", "kind"),
    [
        (24, b"\0\0\0", "bad_array"),
        (32, b"\x01\0\0", "bad_array"),
        (32, b"\xff\xff\xff\xff\x01", "bad_array"),
        (33, b"no end", "bad_array"),
        (33, b"\xff\0", "not_utf8"),
        (26, b"\0" * 1001, "too_long"),
        (33, b"\0" * 1001, "too_long"),
        (31, struct.pack("<d", math.inf), "not_finite"),
    ],
)
def test_bad_arrays(datatype, packed, kind):
    with pytest.raises(BadSignal) as problem:
        array(datatype, Metric(bytes_value=packed))
    assert problem.value.kind == kind


def test_quality_codes():
    said = {0: "bad", 63: "bad", 64: "uncertain", 192: "good", 255: "good", 500: "stale", 516: "uncertain"}
    assert {code: str(quality(PropertyValue(type=3, int_value=code))) for code in said} == said
    assert quality(PropertyValue(type=3, is_null=True)) is None
    assert quality(PropertyValue(type=12, string_value="good")) is None


def test_topics():
    assert address("spBv1.0/G 1/NDATA/E1") == Address("NDATA", "G 1", "E1")
    assert address("spBv1.0/G/DBIRTH/E/D") == Address("DBIRTH", "G", "E", "D")
    assert address("spBv1.0/STATE/host") == Address("STATE", "", "host")
    for topic, kind in [
        ("spBv1.0/G/NDATA/E/D", "unexpected_topic"),
        ("spBv1.0/G/DDATA/E", "unexpected_topic"),
        ("spBv1.0/G/STATE/E", "unexpected_topic"),
        ("spBv1.0/G/DDATA/E/D/F", "unexpected_topic"),
        ("spBv1.0//NDATA/E", "bad_topic"),
        ("spAv1.0/G/NDATA/E", "bad_topic"),
        ("spBv1.0/G/NDATA/E\n", "bad_topic"),
        ("spBv1.0/G/NDATA/+", "bad_topic"),
        ("spBv1.0/#/NDATA/E", "bad_topic"),
        ("", "bad_topic"),
    ]:
        with pytest.raises(BadSignal) as problem:
            address(topic)
        assert (topic, problem.value.kind) == (topic, kind)


def packed(body, **over):
    return Payload(uuid="SPBV1.0_COMPRESSED", body=body, **over).SerializeToString()


def raw_deflate(data):
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(data) + squeeze.flush()


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress, raw_deflate])
def test_compressed_payloads(squeeze):
    plain = Payload(timestamp=5, metrics=[Metric(name="a", int_value=3)])
    assert parse(packed(squeeze(plain.SerializeToString()), seq=7), 10_000) == Payload(
        timestamp=5, metrics=[Metric(name="a", int_value=3)], seq=7
    )


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress, raw_deflate])
def test_a_bomb_is_not_unpacked(squeeze):
    bomb = packed(squeeze(Payload(body=b"\0" * 50_000_000).SerializeToString()))
    assert len(bomb) < 60_000
    with pytest.raises(BadSignal) as problem:
        parse(bomb, 65_536)
    assert problem.value.kind == "too_large"


def test_what_is_no_payload():
    once = packed(zlib.compress(Payload(seq=1).SerializeToString()))
    for payload, kind in [
        (b"\xff", "not_protobuf"),
        (b"hello", "not_protobuf"),
        (b"\x12\x7f\0", "not_protobuf"),
        (b"\0" * 70_000, "too_large"),
        (packed(b"nonsense"), "bad_compression"),
        (packed(gzip.compress(b"abc" * 100)[:-9]), "bad_compression"),
        (packed(b""), "bad_compression"),
        (packed(zlib.compress(b"\xff")), "not_protobuf"),
        (packed(zlib.compress(once)), "bad_compression"),
    ]:
        with pytest.raises(BadSignal) as problem:
            parse(payload, 65_536)
        assert (payload[:40], problem.value.kind) == (payload[:40], kind)


def host(**over):
    wish = {"type": "sparkplug", "client_id": "c"} | over
    made = Host("line", SparkplugSettings.model_validate(wish), ManualClock(NOW))
    made.connected(False, NOW)
    made.subscribed(NOW)
    return made


VERBS = ["NBIRTH", "NDATA", "NDEATH", "NCMD", "DBIRTH", "DDATA", "DDEATH", "STATE", "X"]
METRICS = st.builds(
    Metric,
    name=st.none() | st.sampled_from(["a", "b", "bdSeq", "x" * 2000, "\n"]),
    alias=st.none() | st.integers(0, 3),
    timestamp=st.none() | st.sampled_from([0, 1, 1_795_312_800_000, 2**64 - 1]),
    datatype=st.none() | st.integers(0, 40) | st.just(2**32 - 1),
    is_null=st.none() | st.booleans(),
    is_historical=st.none() | st.booleans(),
    is_transient=st.none() | st.booleans(),
    properties=st.none() | st.just({"keys": ["Quality"], "values": [{"int_value": 0}]}) | st.just({"keys": ["a"]}),
).flatmap(
    lambda metric: st.sampled_from(
        [
            {},
            {"int_value": 2**32 - 1},
            {"long_value": 2**64 - 1},
            {"float_value": math.nan},
            {"double_value": 1e308},
            {"boolean_value": True},
            {"string_value": "x"},
            {"bytes_value": b"\x08\0\0\0\xff"},
            {"dataset_value": b"\xff\xff"},
            {"template_value": b"\xff"},
            {"extension_value": b""},
        ]
    ).map(lambda value: Metric.FromString(metric.SerializeToString() + Metric(**value).SerializeToString()))
)
PAYLOADS = st.builds(
    Payload,
    timestamp=st.none() | st.sampled_from([0, 1_795_312_800_000, 2**64 - 1]),
    seq=st.none() | st.integers(0, 4) | st.sampled_from([255, 256, 2**64 - 1]),
    uuid=st.none() | st.just("SPBV1.0_COMPRESSED"),
    body=st.none() | st.binary(max_size=20),
    metrics=st.lists(METRICS, max_size=4),
).map(lambda payload: payload.SerializeToString())


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(VERBS), st.sampled_from(["", "/E", "/E/D", "/E/D2", "/"]), PAYLOADS | st.binary()),
        max_size=12,
    )
)
def test_no_life_story_however_mad_does_more_than_count(story):
    made = host(host_id="h", reorder_timeout_s=1)
    for verb, tail, payload in story:
        taken = made.take(f"spBv1.0/G/{verb}{tail}", payload, NOW)
        for signal in taken.signals:
            assert signal.value is None or math.isfinite(signal.value)
            assert signal.value is None or signal.quality not in (Quality.BAD, Quality.STALE)
        made._clock.advance(0.5)
        made.tick(NOW)
        made.outgoing()
    made.lost(NOW)
    made.connected(True, NOW)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=30), st.binary(max_size=200))
def test_any_topic_and_any_bytes(topic, payload):
    made = host()
    for any_topic in (topic, "spBv1.0/" + topic, "spBv1.0/G/NBIRTH/E"):
        assert made.take(any_topic, payload, NOW).signals == [] or any_topic.endswith("BIRTH/E")


def test_a_name_that_is_not_utf_8_is_counted_and_the_rest_is_read():
    broken = b"\x12\x08\x0a\x02\xff\xfe\x20\x03\x50\x05"
    good = Payload(timestamp=1_795_312_800_000, seq=0, metrics=[Metric(name="a", datatype=3, int_value=5)])
    taken = host().take("spBv1.0/G/NBIRTH/E", good.SerializeToString() + broken, NOW)
    assert [(s.tag, s.value) for s in taken.signals] == [("G/E/a", 5.0)]
    assert [b.kind for b in taken.bad] == ["not_utf8"]


def test_properties_that_are_not_utf_8_are_passed_over():
    made = host()
    # name "a", alias 1, datatype 3, int_value 5, properties: a key and a string value of b"\xff"; and Quality as text
    for keys, value in ((b"\x0a\x01\xff", b"\x42\x01\xff"), (b"\x0a\x07engUnit", b"\x42\x01\xff")):
        body = keys + b"\x12" + bytes([len(value)]) + value
        metric = b"\x0a\x01a\x10\x01\x20\x03\x50\x05\x4a" + bytes([len(body)]) + body
        taken = made.take("spBv1.0/G/NBIRTH/E", b"\x12" + bytes([len(metric)]) + metric + b"\x18\x00", NOW)
        assert [(s.tag, s.value, s.quality) for s in taken.signals] == [("G/E/a", 5.0, "good")]
        assert "unit" not in taken.signals[0].context


def test_a_payload_of_empty_metrics_and_one_of_long_arrays_are_bounded():
    made = host(max_metrics=1000)
    empty = made.take("spBv1.0/G/NBIRTH/E", b"\x12\x00" * 500_000, NOW)
    assert (empty.signals, {b.kind for b in empty.bad}) == ([], {"too_many_metrics"})
    bits = (1000).to_bytes(4, "little") + b"\xff" * 125
    arrays = [Metric(name=f"m{n}", datatype=32, bytes_value=bits) for n in range(900)]
    many = made.take("spBv1.0/G/NBIRTH/F", Payload(seq=0, metrics=arrays).SerializeToString(), NOW)
    assert len(many.signals) <= 51_000
    assert {b.kind for b in many.bad} >= {"too_many_values"}
