"""The poller without a network: its schedule, and that it has no way to write."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.collectors.modbus.blocks import FUNCTIONS
from agent.collectors.modbus.frames import READS
from agent.collectors.modbus.units import next_due

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
