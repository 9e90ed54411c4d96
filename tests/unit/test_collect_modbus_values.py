"""What registers say, in every type and order, beside an oracle that moves letters; no bytes upset a decoder."""

from __future__ import annotations

import struct
from itertools import permutations
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.collectors.modbus.blocks import Limits, plan, probe, shape, size
from agent.collectors.modbus.frames import Want, fault_rtu, without_glitch
from agent.collectors.modbus.registers import Decoder, Said, converter, real, swap
from agent.collectors.modbus.settings import ModbusSettings, Register
from agent.errors import BadSignal
from agent.model import Quality

FORMATS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float64": "d"}
WHOLE = {f"{sign}int{bits}": (bits, sign == "") for bits in (16, 32, 64) for sign in ("", "u")}

PAIRS = ["AB", "CD", "EF", "GH"]
ALL_64 = ["".join(p[::turn] for p in order) for order in permutations(PAIRS) for turn in (1, -1)]


def register(**over):
    return Register.model_validate({"tag": "t", "address": 0} | over)


def arranged(data, letters):
    """What a device sends that names its order with these letters."""
    return bytes(data["ABCDEFGH".index(letter)] for letter in letters)


def said(r, payload):
    (block,) = plan([r], Limits(125))
    (raw,) = Decoder(block).raws(payload)
    number, rich = converter(r)
    return Said(number(raw)) if rich is None else rich(raw)


@pytest.mark.parametrize("kind", ["int64", "uint64", "float64"])
@pytest.mark.parametrize("order", ALL_64)
@given(data=st.binary(min_size=8, max_size=8))
def test_64_bits_in_every_order_of_words_and_bytes(kind, order, data):
    (value,) = struct.unpack(">" + FORMATS[kind], data)
    if kind == "float64" and not isfinite(value):
        with pytest.raises(BadSignal):
            said(register(type=kind, order=order), arranged(data, order))
        return
    assert said(register(type=kind, order=order), arranged(data, order)).value == float(value)


@pytest.mark.parametrize(
    ("short", "long"), [("ABCD", "ABCDEFGH"), ("CDAB", "GHEFCDAB"), ("BADC", "BADCFEHG"), ("DCBA", "HGFEDCBA")]
)
@given(payload=st.binary(min_size=8, max_size=8))
def test_the_four_usual_names_hold_for_64_bits(short, long, payload):
    one, other = (said(register(type="int64", order=order), payload) for order in (short, long))
    assert one == other


@pytest.mark.parametrize(("bits", "signed"), WHOLE.values(), ids=WHOLE)
@given(data=st.data())
def test_scaling_is_exact_to_the_last_bit(bits, signed, data):
    raw = data.draw(st.integers(-(2 ** (bits - 1)) if signed else 0, 2 ** (bits - signed) - 1))
    kind = f"{'' if signed else 'u'}int{bits}"
    payload = raw.to_bytes(bits // 8, "big", signed=signed)
    assert said(register(type=kind, scale=0.001, offset=-40), payload).value == (raw - 40_000) / 1000
    assert said(register(type=kind), payload).value == float(raw)


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@given(digits=st.integers(0, 99_999_999))
def test_bcd_is_read_digit_by_digit(order, digits):
    data = bytes.fromhex(f"{digits:08d}")
    assert said(register(type="bcd32", order=order), arranged(data, order)).value == digits
    low = "BA" if order in ("BADC", "DCBA") else "AB"
    assert said(register(type="bcd16", order=order), arranged(data[2:], low)).value == digits % 10000


def test_what_is_no_bcd_is_no_number():
    with pytest.raises(BadSignal, match="modbus_not_bcd"):
        said(register(type="bcd16"), b"\x12\x3a")


@given(word=st.integers(0, 65535), low=st.integers(0, 15), high=st.integers(0, 15))
def test_bits_and_fields_of_bits(word, low, high):
    low, high = sorted((low, high))
    payload = word.to_bytes(2, "big")
    assert said(register(type="bool", bit=low), payload).value == (word >> low) % 2
    assert said(register(type="bool"), payload).value == (word != 0)
    assert said(register(bits=[low, high]), payload).value == int(f"{word:016b}"[15 - high : 16 - low], 2)
    assert (
        said(register(bits=[low, high], order="BADC"), swap(payload)).value == word >> low & 2 ** (high - low + 1) - 1
    )


def test_strings_end_at_nul_and_come_in_four_orders():
    text, kind = "炉2 ", {"type": "string", "length": 5, "encoding": "utf-8"}
    data = text.encode() + b"\0"
    assert said(register(**kind), data) == Said(None, "炉2")
    assert said(register(**kind, order="BADC"), swap(data)).text == "炉2"
    words = b"".join(data[i : i + 2] for i in (4, 2, 0))
    assert said(register(**kind, order="CDAB"), words).text == "炉2"
    assert said(register(**kind, order="DCBA"), swap(words)).text == "炉2"
    assert said(register(type="string", length=3), b"ABCD").text == "ABC"
    assert said(register(type="string", length=4, encoding="gb18030"), "温度".encode("gbk")).text == "温度"
    with pytest.raises(BadSignal, match="modbus_not_text"):
        said(register(**kind), b"\xff\xfe\xff\xfe\xff\xfe")


def test_an_enum_gives_value_and_text_and_an_unknown_code_is_uncertain():
    r = register(type="int16", enum={-1: "fault", 2: "run"})
    assert said(r, b"\xff\xff") == Said(-1.0, "fault", Quality.GOOD)
    assert said(r, b"\x00\x02") == Said(2.0, "run", Quality.GOOD)
    assert said(r, b"\x00\x03") == Said(3.0, None, Quality.UNCERTAIN)
    coil = register(table="coil", enum={0: "shut", 1: "open"})
    assert said(coil, b"\x01") == Said(1.0, "open", Quality.GOOD)


def test_what_is_clamped_is_uncertain():
    r = register(type="int16", scale=0.1, clamp_low=0, clamp_high=100)
    values = {raw: said(r, raw.to_bytes(2, "big", signed=True)) for raw in (-1, 0, 1000, 1001)}
    assert values == {
        -1: Said(0.0, None, Quality.UNCERTAIN),
        0: Said(0.0, None, Quality.GOOD),
        1000: Said(100.0, None, Quality.GOOD),
        1001: Said(100.0, None, Quality.UNCERTAIN),
    }


TYPES = ["bool", *FORMATS, "float32", "bcd16", "bcd32", "string"]
anything = st.builds(
    lambda address, kind, order, more: register(
        tag=f"{address}{kind}{order}", address=address, type=kind, order=order,
        length=5 if kind == "string" else None, **(more if kind not in ("string", "bool") else {}),
    ),
    st.integers(0, 60), st.sampled_from(TYPES), st.sampled_from(["ABCD", "CDAB", "BADC", "DCBA"]),
    st.sampled_from([{}, {"scale": 1e300, "offset": -1e300}, {"scale": 0.1, "clamp_low": 0, "clamp_high": 1}]),
)  # fmt: skip


@given(registers=st.lists(anything, min_size=1, max_size=12), data=st.data())
def test_no_bytes_upset_a_decoder_and_overlaps_do_not_mix(registers, data):
    """Whatever stands in a block, each register reads as it would alone, or is BadSignal."""
    for block in plan(registers, Limits(125)):
        payload = data.draw(st.binary(min_size=2 * block.count, max_size=2 * block.count))
        raws = Decoder(block).raws(payload)
        for r, raw in zip(block.registers, raws, strict=True):
            at = 2 * (r.address - block.address)
            number, rich = converter(r)
            try:
                here = Said(number(raw)) if rich is None else rich(raw)
            except BadSignal as bad:
                here = bad.kind
            try:
                alone = said(r, payload[at : at + 2 * r.words])
            except BadSignal as bad:
                alone = bad.kind
            assert here == alone
            assert isinstance(here, str) or here.value is None or isfinite(here.value)


@given(count=st.integers(1, 2000), data=st.data())
def test_coils_are_counted_from_the_lowest_bit(count, data):
    bits = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    at = data.draw(st.integers(0, count - 1))
    packed = sum(bit << i for i, bit in enumerate(bits)).to_bytes(size(1, count), "little")
    registers = [register(tag="a", table="coil", address=100), register(tag="b", table="coil", address=100 + at)]
    (block,) = plan(registers, Limits(125, 123)) if at < 2000 and at <= 123 * 16 else plan(registers[:1], Limits())
    raws = Decoder(block).raws(packed)
    assert raws[0] == bits[0]
    assert len(raws) == 1 or raws[1] == bits[at]


# ---- which registers are asked for together ----


@given(
    places=st.sets(st.integers(0, 300), min_size=1, max_size=40),
    holes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 5)), max_size=6),
    cuts=st.lists(st.integers(0, 300), max_size=6),
    most=st.integers(1, 125),
    gap=st.integers(0, 30),
)
def test_no_request_touches_what_must_not_be_read(places, holes, cuts, most, gap):
    never = tuple(("holding", first, first + more) for first, more in holes)
    forbidden = {a for _, first, last in never for a in range(first, last + 1)}
    registers = [register(tag=str(a), address=a) for a in places - forbidden]
    limits = Limits(most, gap, never, tuple(("holding", cut) for cut in cuts))
    blocks = plan(registers, limits)
    assert sorted(r.address for b in blocks for r in b.registers) == sorted(places - forbidden)
    probes = [place for b in blocks if (place := probe([b], {shape(b.table, b.count)}, limits))]
    for _, first, count in [*(b.place for b in blocks), *probes]:
        read = set(range(first, first + count))
        assert not read & forbidden and count <= most
        assert not any({cut - 1, cut} <= read for cut in cuts)
    assert all(
        count != b.count for b in blocks for _, first, count in probes if first == b.address and len(probes) == 1
    )


def test_bits_count_as_sixteenths_of_a_register():
    coils = [register(tag=str(a), table="coil", address=a) for a in (0, 127, 300)]
    assert [b.place for b in plan(coils, Limits(120, 8))] == [("coil", 0, 128), ("coil", 300, 1)]
    assert [b.place for b in plan(coils, Limits(2, 123))] == [("coil", 0, 1), ("coil", 127, 1), ("coil", 300, 1)]


def test_a_probe_never_looks_like_what_may_still_come():
    (one,) = plan([register()], Limits())
    assert probe([one], {(3, 2)}, Limits()) == ("holding", 0, 2)
    assert probe([one], {(3, 2)}, Limits(max_gap=0)) is None, "it would read what nobody asked for"
    assert probe([one], {(3, 2)}, Limits(never=(("holding", 1, 1),))) is None
    assert probe([one], {(3, 2), (3, 4)}, Limits()) is None
    (two,) = plan([register(type="uint32")], Limits())
    assert probe([two], {(3, 4)}, Limits()) == ("holding", 0, 1)


# ---- RTU frames ----

WANT = Want(0, 1, 3, 4)
GOOD = bytes.fromhex("01 03 04 1234 5678 81 07")


def test_an_rtu_answer_is_believed_and_waited_for():
    assert fault_rtu(GOOD, WANT) is None
    assert {fault_rtu(GOOD[:n], WANT) for n in range(len(GOOD))} == {None}
    assert fault_rtu(bytes.fromhex("01 83 02 c0 f1"), WANT) is None
    assert without_glitch(b"\0\xff\0" + GOOD) == GOOD


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ("01 03 04 1234 5678 81 08", "modbus_bad_checksum"),
        ("01 03 04 1235 5678 81 07", "modbus_bad_checksum"),
        ("01 83 02 c0 f2", "modbus_bad_checksum"),
        ("02 03 04 1234 5678 81 07", "modbus_wrong_unit"),
        ("01 04 04 1234 5678 81 07", "modbus_wrong_function"),
        ("01 84 02 c2 c1", "modbus_wrong_function"),
        ("01 03 02 1234 b5 33", "modbus_wrong_length"),
        ("01 03 04 1234 5678 81 07 00", "modbus_bad_frame"),
    ],
)
def test_any_other_rtu_frame_is_doubted(frame, kind):
    assert fault_rtu(bytes.fromhex(frame), WANT) == kind


@given(st.binary(max_size=300), st.booleans())
def test_no_bytes_upset_the_rtu_check(data, asked):
    kind = fault_rtu(without_glitch(data), WANT if asked else None)
    assert kind is None or kind.startswith("modbus_")
    if kind is None and len(data) >= 9:
        assert without_glitch(data)[:1] in (b"\x01", b"")


# ---- settings ----


def source(**over):
    registers = over.pop("registers", [{"tag": "a", "address": 5}])
    return ModbusSettings.model_validate({"type": "modbus", "host": "plc", "registers": registers} | over)


RTU = {"transport": "rtu", "serial_port": "/dev/ttyUSB0", "host": None}
WRONG = {
    "host": {"host": None},
    "serial_port": RTU | {"serial_port": None},
    "no host": RTU | {"host": "plc"},
    "unit = 0": RTU | {"unit": 0},
    "unit 4 has no registers": {"units": [{"unit": 4}]},
    "unit 1 stands twice": {"units": [{"unit": 1}, {"unit": 1}]},
    "never_read 3 to 9": {"never_read": [{"table": "holding", "first": 3, "last": 9}]},
    "is below first = 9": {"never_read": [{"table": "holding", "first": 9, "last": 3}]},
    "split_at 6": {
        "split_at": [{"table": "holding", "address": 6}],
        "registers": [{"tag": "a", "address": 5, "type": "int32"}],
    },
    "raise max_block = 2": {"max_block": 2, "registers": [{"tag": "a", "address": 5, "type": "float64"}]},
}


@pytest.mark.parametrize("says", WRONG)
def test_what_does_not_go_together_is_named(says):
    with pytest.raises(ValidationError, match=says):
        source(**WRONG[says])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"type": "string"}, "length"),
        ({"length": 4}, "length"),
        ({"table": "coil", "type": "uint16"}, "one bit"),
        ({"bit": 3}, "bool"),
        ({"type": "bool", "bit": 16}, "next address"),
        ({"type": "float32", "bits": [0, 3]}, "uint16, uint32"),
        ({"bits": [3, 16]}, "from 0 to 15"),
        ({"bits": [4, 3]}, "lowest and highest"),
        ({"order": "CADB"}, "one of ABCD"),
        ({"type": "int32", "order": "ABCDEFGH"}, "one of ABCD"),
        ({"type": "string", "length": 2, "scale": 2}, "no scale"),
        ({"enum": {1: "on"}, "scale": 2}, "enum"),
        ({"type": "float32", "enum": {1: "on"}}, "enum"),
        ({"clamp_low": 2, "clamp_high": 1}, "above clamp_high"),
        ({"type": "float64", "address": 65533}, "beyond 65535"),
    ],
)
def test_a_register_that_makes_no_sense_is_refused_with_the_remedy(wrong, says):
    with pytest.raises(ValidationError, match=says):
        register(**wrong)


def test_a_unit_has_its_own_limits_and_else_the_source_s():
    s = source(units=[{"unit": 1, "max_gap": 0}], max_block=50)
    assert (s.of_unit(1).max_gap, s.of_unit(1).max_block, s.of_unit(1).timeout_s) == (0, 50, 1.0)
    assert s.of_unit(9).max_gap == 8


@pytest.mark.parametrize("scale", [1e300, -1e300])
def test_a_number_too_large_is_none(scale):
    with pytest.raises(BadSignal, match="modbus_not_finite"):
        real(register(type="uint64", scale=scale), [65535] * 4)
