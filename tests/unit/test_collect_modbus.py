"""The poller without a network: its schedule, and that it has no way to write."""

import ast
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.collectors.modbus.blocks import FUNCTIONS
from agent.collectors.modbus.frames import READS
from agent.collectors.modbus.line import Line
from agent.collectors.modbus.settings import ModbusSettings
from agent.collectors.modbus.units import FIRST_PAUSE_S, next_due, polls

BASE = {"type": "modbus", "host": "plc", "registers": [{"tag": "a", "address": 0}]}
HERE = Path(__file__).parents[2] / "agent" / "collectors" / "modbus"


def names_in(path):
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (node.value,) if node.value.isidentifier() else ()


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.py")))
def test_the_modbus_collector_cannot_write(name):
    """No write function, and nothing by which a request of another kind could be made."""
    banned = [n for n in names_in(HERE / name) if "write" in n.lower() or n in ("execute", "send", "getattr")]
    assert banned == []


def test_only_four_read_functions_of_the_library_are_named():
    called = {
        n for n in names_in(HERE / "line.py") if n.startswith(("read_", "readwrite_", "mask_", "report_", "diag_"))
    }
    assert called == {"read_coils", "read_discrete_inputs", "read_holding_registers", "read_input_registers"}
    assert set(FUNCTIONS.values()) == READS == {1, 2, 3, 4}


@given(
    now=st.floats(0, 1e7),
    period=st.sampled_from([0.05, 0.1, 1.0, 2.5, 60.0]),
    phase=st.floats(0, 1, exclude_max=True),
)
def test_the_schedule_is_a_grid_that_does_not_drift(now, period, phase):
    due = next_due(now, period, phase)
    assert now < due <= now + period * 1.001 + 1e-9  # and what a float cannot hold
    steps = (next_due(due, period, phase) - due) / period
    assert steps == pytest.approx(1.0, abs=1e-3)
    assert (due / period - phase) % 1.0 == pytest.approx(0.0, abs=1e-3) or (due / period - phase) % 1.0 > 0.999


def test_devices_are_spread_over_the_period():
    phases = [i / 10 for i in range(10)]
    assert [round(next_due(100.0, 1.0, p), 3) for p in phases] == [101.0, *(round(100 + p, 3) for p in phases[1:])]


def unit(**over):
    settings = ModbusSettings.model_validate(
        {
            "type": "modbus",
            "host": "plc",
            "registers": [
                {"tag": f"u{u}.{p}", "unit": u, "address": 0, "period_s": p} for u in (1, 2) for p in (1, 10)
            ],
        }
        | over
    )
    return polls(settings, 0.25, 100.0)


def test_each_unit_and_period_is_a_poll_of_its_own_and_phases_are_spread():
    plan = unit()
    assert [(p.unit.number, p.period_s) for p in plan] == [(1, 1), (1, 10), (2, 1), (2, 10)]
    assert plan[0].unit is plan[1].unit is not plan[2].unit
    phases = sorted(p.phase for p in plan)
    assert min(b - a for a, b in pairwise([*phases, phases[0] + 1])) > 0.1
    assert all(100 < p.due <= 101 for p in plan), "the first reading does not wait for a long period"


def test_one_missed_answer_costs_no_pause_and_a_long_period_is_not_waited_for():
    poll = unit()[1]
    poll.unit.failed(100.0, 1.0, 1)
    assert poll.unit.pause.until == 0.0
    poll.advance(100.0, 0.0)
    assert poll.due == pytest.approx(100.0 + FIRST_PAUSE_S)


@given(silent=st.integers(1, 20), spent=st.floats(0.1, 5))
def test_silent_units_together_take_a_tenth_of_the_line_at_most(silent, spent):
    poll = unit()[0]
    poll.unit.failed(0.0, spent, silent)
    poll.unit.failed(10.0, spent, silent)
    assert poll.unit.silent
    assert poll.unit.pause.until >= 10.0 + 10 * spent * silent


def test_pauses_grow_to_their_cap_and_an_answer_ends_them():
    one = unit(reconnect_max_s=4.0)[0].unit
    pauses = []
    for _ in range(12):
        one.failed(0.0, 1.0, 0)
        pauses.append(one.pause.until)
    assert pauses[0] == 0.0 and pauses[1] <= FIRST_PAUSE_S
    assert 2.0 <= pauses[-1] <= 4.0
    one.alive()
    assert (one.failures, one.pause.until, one.silent) == (0, 0.0, False)


def test_what_may_still_come_late_is_told_apart_or_waited_for():
    one = unit()[0].unit
    one.missed(("holding", 0, 1), 50.0, 1.0)
    assert one.probe() == ("holding", 0, 2)
    one.missed(("holding", 0, 2), 51.0, 1.0)
    assert one.probe() is None
    assert one.believe_at == 54.0
    one.believed()
    one.missed(("holding", 0, 1), 60.0, 0.1)
    one.refused()
    assert one.probe() is None, "it did not like the probe"


def test_nothing_but_reading_functions_passes_the_gate():
    """The last gate before the socket, whatever stands above it."""
    for transport, at in (("tcp", 7), ("rtu_over_tcp", 1)):
        line = Line(ModbusSettings.model_validate(BASE | {"transport": transport}), lambda kind: None)
        for function in range(256):
            sent = bytearray(12)
            sent[at] = function
            if function in READS:
                assert line._on_bytes(True, bytes(sent)) == sent
            else:
                with pytest.raises(PermissionError):
                    line._on_bytes(True, bytes(sent))
