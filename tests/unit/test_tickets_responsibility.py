"""Who owns a problem: the most specific row of the matrix."""

import pytest

from agent.plant.responsibility import Duty, responsible

MATRIX = (
    Duty("line", line="L3"),
    Duty("station", ("u_qe",), line="L3", station="OP40"),
    Duty("weld", line="L3", category="welding"),
    Duty("width", station="OP40", characteristic="bead_width"),
    Duty("width2", station="OP40", characteristic="bead_width"),
)


@pytest.mark.parametrize(
    ("place", "owner"),
    [
        ({"line": "L3"}, "line"),
        ({"line": "L3", "category": "welding"}, "weld"),
        ({"line": "L3", "station": "OP40", "category": "welding"}, "station"),
        ({"line": "L3", "station": "OP40", "characteristic": "bead_width"}, "width"),
        ({"line": "L3", "station": "OP10"}, "line"),
    ],
)
def test_the_most_specific_row_wins(place, owner):
    assert responsible(MATRIX, **place).owner == owner


def test_nobody_is_nobody():
    assert responsible(MATRIX, line="L9", station="OP40") is None


def test_an_empty_row_is_everybodys_default():
    assert responsible((*MATRIX, Duty("all")), line="L9").owner == "all"
