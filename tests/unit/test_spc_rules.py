"""The compiled tables say what the plain definitions say, on streams made to hit lines, ties, gaps and run lengths."""

from __future__ import annotations

import json
from math import inf, nan, nextafter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.spc.evaluate import evaluate
from agent.spc.rules import RULES, RuleParams, by_definition, zone_of
from agent.spc.stream import RuleStream, ruleset

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "spc-reference.json").read_text("utf-8"))
CENTER, SIGMA = 438.7, 0.3  # sums of these are not exact: a line is where the double c + k*s is
LINES = [CENTER + k * SIGMA for k in (-4, -3, -2, -1, 0, 1, 2, 3, 4)] + [CENTER - k * SIGMA for k in (1, 2, 3)]
LEVELS = sorted({y for x in LINES for y in (nextafter(x, -inf), x, nextafter(x, inf))})
ALL = ruleset(RULES)
SHORT = RuleParams(
    n1_sigma=4.0, n2_points=4, n3_points=3, n4_points=5, n5_sigma=2.5, n5_points=3, n5_span=5,
    n6_points=2, n6_span=2, n7_sigma=2.0, n7_points=5, n8_points=3, n8_both_sides=False, w4_points=6,
)  # fmt: skip


@st.composite
def stretches(draw: st.DrawFn) -> list[float]:
    """Random points would hardly ever make a run: stretches of one side, one zone, a slope, a zigzag, with faults."""
    points: list[float] = []
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(1, 17))
        low, high = sorted(draw(st.tuples(*[st.integers(0, len(LEVELS) - 1)] * 2)))
        kind = draw(st.sampled_from(("within", "rising", "falling", "zigzag", "two")))
        if kind == "within":
            part = [LEVELS[i] for i in draw(st.lists(st.integers(low, high), min_size=length, max_size=length))]
        elif kind == "two":
            part = draw(st.lists(st.sampled_from((LEVELS[low], LEVELS[high])), min_size=length, max_size=length))
        elif kind == "zigzag":
            part = [LEVELS[(low, high)[i % 2]] for i in range(length)]
        else:
            part = LEVELS[low : low + length] if kind == "rising" else LEVELS[low : low + length][::-1]
        points += part
    return points


def pushed(stream: RuleStream, points: list[float]) -> list[tuple[str, ...]]:
    return [stream.ruleset.names(stream.push(x)) for x in points]


def defined(points: list[float], names: tuple[str, ...], params: RuleParams) -> list[tuple[str, ...]]:
    at = {name: set(by_definition(points, CENTER, SIGMA, name, params)) for name in names}
    return [tuple(name for name in names if i in at[name]) for i in range(len(points))]


@pytest.mark.parametrize("case", REFERENCE["sequences"], ids=lambda case: case["name"])
def test_reference_sequence(case: dict) -> None:
    assert evaluate(case["x"], case["center"], case["sigma"], case.get("breaks", ())) == case["expected"]


@pytest.mark.parametrize(
    "case",
    [c for c in REFERENCE["sequences"] if None not in c["x"] and "breaks" not in c],
    ids=lambda case: case["name"],
)
def test_reference_sequence_by_definition(case: dict) -> None:
    found = {name: by_definition(case["x"], case["center"], case["sigma"], name) for name in RULES}
    assert {name: at for name, at in found.items() if at} == case["expected"]


def test_zones_and_steps_need_as_many_states_as_published() -> None:
    """2,118 zone states and 35 direction states are the fewest possible for all eight rules with W4."""

    def states(start: list) -> int:
        seen = {id(start): start}
        for row in (queue := [start]):
            fresh = [after for after in row[1:] if id(after) not in seen]
            seen |= {id(after): after for after in fresh}
            queue += {id(after): after for after in fresh}.values()
        return len(seen)

    assert [states(start) for start in ALL.start] == [2118, 35]


@settings(max_examples=250, deadline=None)
@given(stretches())
def test_tables_equal_definitions(points: list[float]) -> None:
    assert pushed(RuleStream(CENTER, SIGMA, ALL), points) == defined(points, ALL.rules, RuleParams())


@settings(max_examples=120, deadline=None)
@given(stretches(), st.sets(st.sampled_from(sorted(RULES))), st.sampled_from((RuleParams(), SHORT)))
def test_tables_of_any_rules_equal_definitions(points: list[float], names: set[str], params: RuleParams) -> None:
    some = ruleset(names, params)
    assert pushed(RuleStream(CENTER, SIGMA, some), points) == defined(points, some.rules, params)


@settings(max_examples=60, deadline=None)
@given(stretches(), st.sets(st.integers(0, 40), max_size=4), st.sets(st.integers(0, 40), max_size=4))
def test_gaps_and_stages_cut_a_series_into_pieces(points: list[float], gaps: set[int], breaks: set[int]) -> None:
    """evaluate() of the whole is the definitions of each piece, put at its place."""
    series = [None if i in gaps else x for i, x in enumerate(points)]
    expected: dict[str, list[int]] = {}
    starts = sorted({0} | {i + 1 for i in gaps if i < len(points)} | {i for i in breaks if i < len(points)})
    for start, end in zip(starts, [*starts[1:], len(points)], strict=True):
        piece = [x for x in series[start:end] if x is not None]
        for name in RULES:
            found = by_definition(piece, CENTER, SIGMA, name)
            expected[name] = expected.get(name, []) + [start + i for i in found]
    got = evaluate(series, CENTER, SIGMA, [b for b in breaks if b <= len(points)])
    assert got == {name: at for name, at in expected.items() if at}


@pytest.mark.parametrize(
    ("rule", "almost"),
    [("N5", [2.5, 0, 0, 2.5]), ("N6", [1.5, 0, 1.5, 0, 1.5, 1.5]), ("N6", [1.5, 1.5, 1.5, 0]), ("N5", [2.5, 2.5, 0])],
)
def test_some_of_a_window(rule: str, almost: list[float]) -> None:
    """Too far apart, or the latest point not itself beyond."""
    assert len(almost) - 1 not in by_definition(almost, 0.0, 1.0, rule)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LEVELS), st.sampled_from((SIGMA, 1e-14, 1e-300)))
def test_zone_letters_equal_plain_comparison(x: float, sigma: float) -> None:
    """Also where sigma is so small that lines fall together."""
    place = RuleStream(CENTER, sigma, ruleset(["N1"]))
    beyond = zone_of(x, CENTER, sigma, (3.0,)).beyond == 3.0
    assert bool(place.push(x)) is beyond is (x > CENTER + 3 * sigma or x < CENTER - 3 * sigma)


@settings(max_examples=60, deadline=None)
@given(stretches(), st.data())
def test_restart_by_replay_of_fourteen(points: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(points)))
    running, restarted = RuleStream(CENTER, SIGMA, ALL), RuleStream(CENTER, SIGMA, ALL)
    pushed(running, points[:cut])
    restarted.replay(points[max(0, cut - 14) : cut])
    assert pushed(restarted, points[cut:]) == pushed(running, points[cut:])


def test_memory_is_fourteen_and_thirteen_would_not_do() -> None:
    assert ALL.memory == 14
    within = [CENTER + 0.1] * 14
    kept, cut = RuleStream(CENTER, SIGMA, ALL), RuleStream(CENTER, SIGMA, ALL)
    kept.replay(within)
    cut.replay(within[1:])
    assert "N7" in ALL.names(kept.push(CENTER)) and "N7" not in ALL.names(cut.push(CENTER))


@settings(max_examples=40, deadline=None)
@given(st.lists(stretches(), min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_interleaved_streams_do_not_touch_each_other(many: list[list[float]], random) -> None:
    alone = [pushed(RuleStream(CENTER, SIGMA, ALL), points) for points in many]
    streams, together = [RuleStream(CENTER, SIGMA, ALL) for _ in many], [[] for _ in many]
    turns = [k for k, points in enumerate(many) for _ in points]
    random.shuffle(turns)
    for k in turns:
        together[k] += pushed(streams[k], [many[k][len(together[k])]])
    assert together == alone


@settings(max_examples=40, deadline=None)
@given(stretches(), stretches(), stretches())
def test_restore_goes_back_as_if_nothing_had_been_pushed(before, undone, after) -> None:
    stream, straight = RuleStream(CENTER, SIGMA, ALL), RuleStream(CENTER, SIGMA, ALL)
    pushed(stream, before)
    state = stream.snapshot()
    pushed(stream, undone)
    stream.restore(state)
    pushed(straight, before)
    assert pushed(stream, after) == pushed(straight, after)


@settings(max_examples=30, deadline=None)
@given(stretches(), stretches())
def test_reset_forgets_everything(before, after) -> None:
    stream = RuleStream(CENTER, SIGMA, ALL)
    pushed(stream, before)
    stream.reset()
    assert pushed(stream, after) == pushed(RuleStream(CENTER, SIGMA, ALL), after)


def test_a_point_with_limits_of_its_own() -> None:
    """Between points of the usual limits, one judged by wider ones takes part in the same runs."""
    stream = RuleStream(0.0, 1.0, ruleset(["N1", "N5"]))
    assert stream.ruleset.names(stream.push_at(3.5, 0.0, 1.5)) == ()
    assert stream.ruleset.names(stream.push(2.5)) == ("N5",)
    assert stream.ruleset.names(stream.push(3.5)) == ("N1", "N5")


@pytest.mark.parametrize("x", [nan, -inf])
def test_what_is_no_number_changes_nothing(x: float) -> None:
    stream = RuleStream(0.0, 1.0, ALL)
    state = stream.snapshot()
    with pytest.raises(ValueError, match="finite"):
        stream.push(x)
    assert stream.snapshot()[0] is state[0]
    assert ALL.names(stream.push(0.5)) == ()


@pytest.mark.parametrize(("center", "sigma"), [(nan, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, inf)])
def test_impossible_limits_are_refused(center: float, sigma: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        RuleStream(center, sigma, ALL)


@pytest.mark.parametrize("params", [{"n2_points": 1}, {"n5_points": 4}, {"n1_sigma": 0.0}, {"n8_points": 40}])
def test_impossible_params_are_refused(params: dict) -> None:
    with pytest.raises(ValueError, match=r"points|sigma"):
        RuleParams(**params)


def test_rulesets_are_shared_and_ordered() -> None:
    assert ruleset(["W4", "N3", "N1", "N1"]) is ruleset(("N1", "N3", "W4"))
    assert ruleset(["W4", "N3", "N1"]).rules == ("N1", "N3", "W4")
    with pytest.raises(ValueError, match="N9"):
        ruleset(["N1", "N9"])
