"""I-MR and Xbar-R against R qcc, NIST and hand derivations; restart, rollback and gaps on both charts of a pair."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf, isclose, nan
from pathlib import Path
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import Refused
from agent.spc.charts import CHARTS, load_chart
from agent.spc.charts.imr import Imr
from agent.spc.charts.xbar_r import XbarR
from agent.spc.limits import Limits
from agent.spc.rules import RULES, RuleParams

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "spc-reference.json").read_text("utf-8"))
CASES = [case for case in REFERENCE["cases"] if case["chart"] in CHARTS]
FIELDS = {"mr_center": "center_r", "mr_ucl": "ucl_r", "mr_lcl": "lcl_r", "r_center": "center_r", "r_ucl": "ucl_r"}
MASS = Limits("imr", 1, 10.0, 1.0)


def test_the_reference_has_cases_of_both_charts() -> None:
    assert {case["chart"] for case in CASES} == {"imr", "xbar_r"} and len(CASES) == 4


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_reference_case(case: dict) -> None:
    kind, expected, tolerance = load_chart(case["chart"]), case["expected"], case["tolerance"]
    limits = kind.limits_from(case["data"], method=case["params"]["sigma_method"])
    for name, value in expected.items():
        if not name.startswith("violations"):
            got = getattr(limits, FIELDS.get(name, name))
            assert isclose(got, value, rel_tol=tolerance.get("rel", 0), abs_tol=tolerance.get("abs", 0)), name
    if "violations" in expected:
        chart = kind(limits, case["params"]["rules"])
        flagged = [chart.push([x]).flags for x in case["data"]]
        found = {rule: [i for i, flags in enumerate(flagged) if rule in flags] for rule in case["params"]["rules"]}
        assert found == expected["violations"]


def test_moving_range_and_its_limit() -> None:
    """MR of two: UCL = 3.267 MRbar; the first point after a reset has none."""
    chart = Imr(MASS, ["N1"])
    assert round(MASS.ucl_r / MASS.center_r, 3) == 3.267 and MASS.lcl_r == 0.0
    points = [chart.push([x]) for x in (9.0, 12.75, 9.0, 13.25)]
    assert [p.dispersion for p in points] == [None, 3.75, 3.75, 4.25]
    assert [p.dispersion_flags for p in points] == [(), ("N1",), ("N1",), ("N1",)]
    assert [p.flags for p in points] == [(), (), (), ("N1",)]
    chart.reset()
    assert chart.push([9.0]).dispersion is None


def test_a_reset_ends_runs_on_both_charts() -> None:
    chart = Imr(MASS, ["W4"], dispersion_rules=["N2"])
    steps = [10.5, 12.0] * 5
    assert [p.dispersion_flags for p in map(chart.push, ([x] for x in steps))][-1] == ("N2",)
    chart.reset()
    after = [chart.push([x]) for x in steps]
    assert [bool(p.flags) for p in after] == [False] * 7 + [True] * 3
    assert [bool(p.dispersion_flags) for p in after] == [False] * 9 + [True]


def test_a_gap_breaks_moving_ranges_of_the_baseline() -> None:
    """Neither a missing nor an excluded value makes a moving range on either side."""
    gap = Imr.limits_from([1.0, 2.0, None, 9.0, 10.0])
    assert isclose(gap.center_r, 1.0) and gap.center == 5.5
    excluded = Imr.limits_from([1.0, 2.0, 99.0, 9.0, 10.0], excluded={2})
    assert (excluded.center, excluded.sigma) == (gap.center, gap.sigma)


def test_xbar_r_by_hand() -> None:
    """Montgomery's form: center ± A2 Rbar, D3 Rbar, D4 Rbar for n = 5."""
    limits = Limits("xbar_r", 5, 74.0, 0.01)
    rbar = limits.center_r
    assert round((limits.ucl - limits.center) / rbar, 3) == round((limits.center - limits.lcl) / rbar, 3) == 0.577
    assert round(limits.ucl_r / rbar, 3) == 2.114 and limits.lcl_r == 0.0
    chart = XbarR(limits, ["N1"])
    calm, spread = chart.push([74.0, 74.01, 73.99, 74.0, 74.0]), chart.push([74.03, 74.0, 73.97, 74.0, 74.0])
    assert (calm.flags, calm.dispersion_flags) == ((), ()) and isclose(calm.y, 74.0) and isclose(calm.dispersion, 0.02)
    assert (spread.flags, spread.dispersion_flags) == ((), ("N1",))
    assert chart.push([74.02] * 5).flags == ("N1",)


def test_a_range_can_be_too_small_from_seven_values_on() -> None:
    assert Limits("xbar_r", 6, 0.0, 1.0).lcl_r == 0.0
    chart = XbarR(Limits("xbar_r", 7, 0.0, 1.0), ["N1"])
    assert chart.limits.lcl_r > 0
    assert chart.push([0.0] * 7).dispersion_flags == ("N1",)


def test_incomplete_subgroups_have_limits_of_their_own() -> None:
    limits = Limits("xbar_r", 4, 0.0, 1.0)
    assert limits.ucl == 1.5 and isclose(limits.at(2).ucl, 3 / 2**0.5)
    chart = XbarR(limits, ["N1"])
    assert [chart.push([1.6] * n).flags for n in (4, 2, 4)] == [("N1",), (), ("N1",)]
    single = chart.push([2.9])
    assert (single.flags, single.dispersion, single.dispersion_flags) == ((), None, ())


def test_baseline_of_unequal_subgroups() -> None:
    """As qcc: center is the mean of all values, sigma the mean of R_i / d2(n_i)."""
    limits = XbarR.limits_from([[1.0, 2.0], [4.0, 6.0, 5.0], [3.0, 3.0], [7.0], [50.0, 90.0]], excluded=[4])
    assert isclose(limits.center, fmean([1, 2, 4, 6, 5, 3, 3, 7])) and limits.n == 2
    assert isclose(limits.sigma, (1 / 1.1283791670955126 + 2 / 1.692568750643269 + 0) / 3)


@pytest.mark.parametrize(
    ("chart", "baseline", "key"),
    [
        (Imr, [], "spc.baseline.short"),
        (Imr, [1.0, None, 2.0], "spc.baseline.short"),
        (Imr, [1.0, 1.0, 1.0], "spc.baseline.flat"),
        (XbarR, [[1.0], [2.0]], "spc.baseline.short"),
        (XbarR, [[1.0, 1.0], [2.0, 2.0]], "spc.baseline.flat"),
    ],
)
def test_a_baseline_without_limits_is_refused(chart: type, baseline: list, key: str) -> None:
    with pytest.raises(Refused) as refused:
        chart.limits_from(baseline)
    assert refused.value.key == key


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [nan], [inf], [1e300]])
def test_values_that_are_no_individual_change_nothing(values: list[float]) -> None:
    chart = Imr(MASS, RULES)
    chart.push([9.0])
    with pytest.raises(ValueError, match="value"):
        chart.push(values)
    assert chart.push([9.5]).dispersion == 0.5


@pytest.mark.parametrize("values", [[], [1.0, nan], [-inf, 1.0], [1e308, 1e308], [1.0] * 26])
def test_values_that_are_no_subgroup_change_nothing(values: list[float]) -> None:
    chart = XbarR(Limits("xbar_r", 2, 0.0, 1.0), RULES)
    before = chart.snapshot()
    with pytest.raises(ValueError, match="value"):
        chart.push(values)
    assert repr(chart.snapshot()[0][2]) == repr(before[0][2])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Imr(replace(MASS, chart="xbar_r"), ["N1"]),
        lambda: Imr(MASS, ["N1"], dispersion_rules=["N7"]),
        lambda: Imr(MASS, ["N0"]),
        lambda: Imr.limits_from([1.0, 2.0], method="Sbar/c4"),
        lambda: load_chart("ewma9"),
        lambda: Limits("imr", 0, 0.0, 1.0),
        lambda: Limits("imr", 1, nan, 1.0),
        lambda: Limits("imr", 1, 0.0, 0.0),
        lambda: Limits("xbar_r", 26, 0.0, 1.0),
    ],
)
def test_what_does_not_fit_is_named(wrong) -> None:
    with pytest.raises(ValueError, match=r"chart|rule|method|n =|center|sigma"):
        wrong()


def test_width_moves_the_limits_and_rule_one_together() -> None:
    wide = replace(MASS, width=4.0)
    assert (wide.ucl, wide.lcl) == (14.0, 6.0)
    chart = Imr(wide, ["N1"], RuleParams(n1_sigma=2.0))
    assert [chart.push([x]).flags for x in (13.5, 14.0, 14.5)] == [(), (), ("N1",)]


VALUES = st.lists(st.sampled_from([6.5, 7.0, 8.0, 9.0, 9.75, 10.0, 10.5, 11.0, 12.0, 13.0, 13.25]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(VALUES, st.integers(0, 40), st.sampled_from(("imr", "xbar_r")))
def test_restart_and_rollback_give_the_same_points(values: list[float], cut: int, name: str) -> None:
    """Replay of the last `memory` plotted points; restore of a snapshot; both go on as if nothing had happened."""
    limits = replace(MASS, chart=name, n=1 if name == "imr" else 2)
    groups = [[x] if name == "imr" else [x, 20.0 - x / 2] for x in values]

    def fresh():
        return load_chart(name)(limits, RULES, dispersion_rules=("N1", "N2", "N3", "N4"))

    running, restarted = fresh(), fresh()
    past = [running.push(group) for group in groups[:cut]]
    restarted.replay([(p.y, p.dispersion) for p in past[-running.memory :]])
    state = running.snapshot()
    once = [running.push(group) for group in groups[cut:]]
    running.restore(state)
    assert once == [running.push(group) for group in groups[cut:]] == [restarted.push(group) for group in groups[cut:]]


def test_replay_of_incomplete_subgroups() -> None:
    limits = Limits("xbar_r", 4, 0.0, 1.0)
    running, restarted = XbarR(limits, ["N5"]), XbarR(limits, ["N5"])
    running.push([1.2, 1.2])
    restarted.replay([(1.2, 0.0, 2)])
    assert running.push([1.2] * 4) == restarted.push([1.2] * 4)
    restarted.replay([(1.2, 0.0)])
    assert restarted.push([1.2] * 4).flags == ("N5",)
