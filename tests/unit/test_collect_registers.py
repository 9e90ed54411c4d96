"""Raw registers → numbers, which registers are asked for together, and which answers are believed."""

import struct
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.collectors.modbus.blocks import Block, Limits, plan
from agent.collectors.modbus.frames import Want, fault
from agent.collectors.modbus.registers import real
from agent.collectors.modbus.settings import Register
from agent.errors import BadSignal

FORMATS = {"int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f"}
INTS = {
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
}


def register(**over):
    return Register.model_validate({"tag": "t", "address": 0} | over)


def on_wire(kind, order, raw):
    """The registers a device with this byte order sends, made by struct and by moving the letters."""
    abcd = struct.pack(">" + FORMATS[kind], raw)
    letters = order if len(abcd) == 4 else ("BA" if order in ("BADC", "DCBA") else "AB")
    data = bytes(abcd["ABCD".index(letter)] for letter in letters)
    return list(struct.unpack(f">{len(data) // 2}H", data))


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@pytest.mark.parametrize("kind", INTS)
@given(data=st.data())
def test_integers_in_every_order(kind, order, data):
    raw = data.draw(st.integers(*INTS[kind]))
    assert real(register(type=kind, order=order), on_wire(kind, order, raw)) == raw


@pytest.mark.parametrize("order", ["ABCD", "CDAB", "BADC", "DCBA"])
@given(raw=st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_in_every_order(order, raw):
    assert real(register(type="float32", order=order), on_wire("float32", order, raw)) == raw


def test_the_orders_as_device_manuals_print_them():
    """123456.7890625 is 47F1 2065 (ABCD)."""
    words = {"ABCD": [0x47F1, 0x2065], "CDAB": [0x2065, 0x47F1], "BADC": [0xF147, 0x6520], "DCBA": [0x6520, 0xF147]}
    assert {o: real(register(type="float32", order=o), w) for o, w in words.items()} == dict.fromkeys(
        words, 123456.7890625
    )


@pytest.mark.parametrize("raw", [nan, inf, -inf])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_a_missing_sensor_is_no_number(raw, scale):
    with pytest.raises(BadSignal) as error:
        real(register(type="float32", scale=scale), on_wire("float32", "ABCD", raw))
    assert error.value.kind == "modbus_not_finite"


@pytest.mark.parametrize(
    ("raw", "scale", "offset", "value"),
    [(3, 0.1, 0.0, 0.3), (1805, 0.1, 0.0, 180.5), (253, 0.01, -40.0, -37.47), (7, 1, 0.5, 7.5)],
)
def test_scaling_gives_the_number_on_the_display(raw, scale, offset, value):
    """In binary 3 × 0.1 is 0.30000000000000004, which would be beyond a limit of 0.3."""
    assert real(register(scale=scale, offset=offset), [raw]) == value


def shape(blocks):
    return [(b.table, b.address, b.count) for b in blocks]


def regs(*places, **over):
    return [register(tag=f"r{i}", address=a, type=t, **over) for i, (a, t) in enumerate(places)]


def test_neighbours_are_read_together_up_to_the_gap_and_the_block():
    places = regs((0, "uint16"), (1, "float32"), (11, "uint16"), (21, "uint16"))
    assert shape(plan(places, Limits(120, 8))) == [("holding", 0, 12), ("holding", 21, 1)]
    assert shape(plan(places, Limits(120, 9))) == [("holding", 0, 22)]
    assert shape(plan(places, Limits(12, 9))) == [("holding", 0, 12), ("holding", 21, 1)]
    assert shape(plan(places, Limits(11, 9))) == [("holding", 0, 3), ("holding", 11, 11)]
    assert shape(plan(regs((0, "uint16"), (2, "float32")), Limits(3, 9))) == [("holding", 0, 1), ("holding", 2, 2)]


def test_tables_are_never_mixed():
    both = [register(tag="a", address=5), register(tag="b", address=5, table="input")]
    assert shape(plan(both, Limits(120, 8))) == [("holding", 5, 1), ("input", 5, 1)]


@given(
    places=st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["uint16", "float32"])), min_size=1, max_size=40),
    max_block=st.integers(2, 125),
    max_gap=st.integers(0, 123),
    data=st.data(),
)
def test_every_register_gets_its_own_words_from_blocks_within_the_limits(places, max_block, max_gap, data):
    blocks = plan(regs(*places), Limits(max_block, max_gap))
    for block in list(blocks):
        if data.draw(st.booleans()):
            blocks.remove(block)
            blocks += block.halves()
    found = {}
    for block in blocks:
        assert 1 <= block.count <= max_block
        for own in block.registers:
            assert block.address <= own.address and own.address + own.words <= block.address + block.count
            found[own.tag] = own.address
    assert found == {r.tag: r.address for r in regs(*places)}


def test_halves_end_at_single_registers():
    (block,) = plan(regs((0, "uint16"), (3, "uint16"), (4, "float32")), Limits(120, 8))
    assert shape(block.halves()) == [("holding", 0, 1), ("holding", 3, 3)]
    assert Block("holding", 0, 1, tuple(regs((0, "uint16")))).halves()[0].count == 1


WANT = Want(transaction=7, unit=1, function=3, size=4)
GOOD = bytes.fromhex("0007 0000 0007 01 03 04 1234 5678")


def test_the_answer_is_believed_and_so_is_the_device_s_exception():
    assert fault(GOOD, WANT) is None
    assert fault(bytes.fromhex("0007 0000 0003 01 83 02"), WANT) is None


def test_part_of_an_answer_is_waited_for():
    assert [fault(GOOD[:n], WANT) for n in range(len(GOOD))] == [None] * len(GOOD)


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ("0006 0000 0007 01 03 04 1234 5678", "modbus_wrong_transaction"),
        ("0000 0000 0007 01 03 04 1234 5678", "modbus_wrong_transaction"),
        ("0007 0000 0007 02 03 04 1234 5678", "modbus_wrong_unit"),
        ("0007 0000 0007 01 04 04 1234 5678", "modbus_wrong_function"),
        ("0007 0000 0007 01 80 04 1234 5678", "modbus_wrong_function"),
        ("0007 0000 0003 01 84 02", "modbus_wrong_function"),
        ("0007 0000 0004 01 83 0202", "modbus_wrong_length"),
        ("0007 0000 0007 01 03 03 1234 5678", "modbus_wrong_length"),
        ("0007 0000 0007 01 03 08 1234 5678", "modbus_wrong_length"),
        ("0007 0000 0005 01 03 02 1234", "modbus_wrong_length"),
        ("0007 0000 0009 01 03 06 1234 5678 9abc", "modbus_wrong_length"),
        ("0007 0000 0003 01 03 00", "modbus_wrong_length"),
        ("0007 0000 0009 01 03 04 1234 5678 9abc", "modbus_wrong_length"),
        ("0007 0000 0005 01 03 04 1234", "modbus_wrong_length"),
        ("0007 0001 0007 01 03 04 1234 5678", "modbus_bad_frame"),
        ("0007 0000 0002 01 83", "modbus_bad_frame"),
        ("0007 0000 ffff 01 03 04 1234 5678", "modbus_bad_frame"),
        ("0007 0000 0007 01 03 04 1234 5678 00", "modbus_bad_frame"),
    ],
)
def test_anything_else_is_doubted(frame, kind):
    assert fault(bytes.fromhex(frame), WANT) == kind


def test_bytes_nobody_asked_for_are_doubted():
    assert fault(b"\0", None) == "modbus_unasked"


@given(st.binary(max_size=300))
def test_no_bytes_upset_the_check(data):
    kind = fault(data, WANT)
    assert kind is None or kind.startswith("modbus_")
    if kind is None and len(data) >= 9:
        assert data[:8] == GOOD[:8] or data[7] == 0x83
