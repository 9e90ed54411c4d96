"""Deadlines: due times, marks and what is due at a moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deadlines.deadline import (
    Deadline,
    breach,
    breaches,
    disproved,
    find,
    late,
    mark,
    marks,
    plan,
    remind_at,
    reminders,
    status,
    stop,
    used,
    void,
)
from agent.deadlines.policy import Policy, Term, parse_amount

T0 = datetime(2026, 11, 3, 1, 0, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def clock(kind: str = "R2") -> Deadline:
    found = find(plan(T0, Policy()), kind)
    assert found is not None
    return found


def test_the_four_are_counted_from_the_raise_around_the_clock():
    due = {d.kind: d.due_at - T0 for d in plan(T0, Policy())}
    assert due == {"R2": 2 * HOUR, "C24": 24 * HOUR, "A48": 48 * HOUR, "V5": 120 * HOUR}


def test_friday_1750_runs_through_the_weekend():
    friday = datetime.fromisoformat("2026-10-09T17:50:00+08:00")
    due = {d.kind: d.due_at for d in plan(friday, Policy())}
    assert due["R2"] == datetime.fromisoformat("2026-10-09T19:50:00+08:00")
    assert due["C24"] == datetime.fromisoformat("2026-10-10T17:50:00+08:00")
    assert due["A48"] == datetime.fromisoformat("2026-10-11T17:50:00+08:00")
    assert due["V5"] == datetime.fromisoformat("2026-10-14T17:50:00+08:00")


@pytest.mark.parametrize(("at", "expected"), [(-SECOND, "met"), (timedelta(0), "met"), (SECOND, "breached")])
def test_met_at_the_very_second(at, expected):
    (stopped,) = stop([clock()], "R2", clock().due_at + at)
    assert status(stopped, T0 + 99 * HOUR) == expected


def test_a_deadline_is_stopped_once():
    once = stop(plan(T0, Policy()), "A48", T0 + HOUR)
    assert stop(once, "A48", T0 + 9 * HOUR) == once


@pytest.mark.parametrize(
    ("after", "expected"),
    [(1.0, "run"), (1.49, "run"), (1.5, "near"), (2.0, "near"), (2.001, "missed"), (50, "missed")],
)
def test_marks_of_a_running_deadline(after, expected):
    assert mark(clock(), T0 + after * HOUR) == expected


def test_a_recorded_breach_is_missed_at_the_due_time_itself():
    (over,) = breach([clock()], "R2", clock().due_at)
    assert mark(over, clock().due_at) == "missed"
    assert status(over, clock().due_at) == "breached"


def test_what_is_over_and_done_is_late_not_missed():
    (done,) = stop([clock()], "R2", T0 + 3 * HOUR)
    assert mark(done, T0 + 9 * HOUR) == "late"
    assert late(done, T0 + 9 * HOUR) == HOUR
    assert used(done, T0 + 9 * HOUR) == 1.5


def test_the_strip_has_one_next_step():
    four = plan(T0, Policy())
    assert marks(four, T0 + HOUR) == ("run", "wait", "wait", "wait")
    answered = stop(four, "R2", T0 + HOUR)
    assert marks(answered, T0 + 20 * HOUR) == ("met", "near", "wait", "wait")
    # drawn in look/screens: the third is missed, so the fourth is what still can be kept
    third = stop(answered, "C24", T0 + 25 * HOUR)
    assert marks(third, T0 + 50 * HOUR) == ("met", "late", "missed", "run")


def test_one_that_waits_is_amber_all_the_same_when_its_time_goes():
    four = plan(T0, Policy(terms=(Term("R2", 7200), Term("C24", 7200), Term("A48", 7200), Term("V5", 7200))))
    assert marks(four, T0 + 1.6 * HOUR) == ("near",) * 4


def test_breaches_come_with_their_own_due_times_however_late():
    four = stop(plan(T0, Policy()), "C24", T0 + 30 * HOUR)
    assert [(d.kind, d.due_at - T0) for d in breaches(four, T0 + 60 * HOUR)] == [
        ("R2", 2 * HOUR),
        ("C24", 24 * HOUR),  # done late: missed all the same
        ("A48", 48 * HOUR),
    ]
    known = breach(four, "R2", T0 + 2 * HOUR)
    assert [d.kind for d in breaches(known, T0 + 60 * HOUR)] == ["C24", "A48"]


def test_a_breach_is_due_at_the_due_time_and_not_before():
    assert breaches([clock()], clock().due_at - SECOND) == []
    assert [d.kind for d in breaches([clock()], clock().due_at)] == ["R2"]


def test_reminders_at_75_percent_and_not_once_it_is_over():
    assert remind_at(clock()) == T0 + 1.5 * HOUR
    four = plan(T0, Policy())
    assert reminders(four, T0 + 1.5 * HOUR - SECOND) == []
    assert [d.kind for d in reminders(four, T0 + 1.5 * HOUR)] == ["R2"]
    assert [d.kind for d in reminders(four, T0 + 2 * HOUR)] == []
    assert [d.kind for d in reminders(four, T0 + 18 * HOUR)] == ["C24"]


def test_cancelling_voids_what_is_in_time_and_ends_what_is_over():
    four = void(stop(plan(T0, Policy()), "R2", T0 + HOUR), T0 + 30 * HOUR)
    assert [status(d, T0 + 999 * HOUR) for d in four] == ["met", "breached", "void", "void"]
    assert [mark(d, T0 + 999 * HOUR) for d in four] == ["met", "late", "void", "void"]
    assert [d.kind for d in breaches(four, T0 + 999 * HOUR)] == ["C24"]


def test_an_act_that_arrives_later_disproves_a_breach():
    over = breach([clock()], "R2", clock().due_at)
    assert disproved(over) == []
    assert disproved(stop(over, "R2", clock().due_at + SECOND)) == []
    assert [d.kind for d in disproved(stop(over, "R2", clock().due_at))] == ["R2"]


@given(st.integers(1, 10**7), st.integers(-(10**6), 2 * 10**7), st.sampled_from(["none", "stop", "void"]))
def test_status_and_mark_agree_and_json_keeps_everything(amount, after, end):
    (deadline,) = plan(T0, Policy(terms=(Term("R2", amount),)))
    now = T0 + timedelta(seconds=after)
    if end == "stop":
        (deadline,) = stop([deadline], "R2", now)
    if end == "void":
        (deadline,) = void([deadline], now)
    allowed = {"running": {"run", "near"}, "met": {"met"}, "breached": {"late", "missed"}, "void": {"void"}}
    assert mark(deadline, now) in allowed[status(deadline, now)]
    assert used(deadline, now) >= 0
    assert Deadline.from_json(deadline.as_json()) == deadline


def test_a_policy_of_another_release_is_read():
    policy = Policy(terms=(Term("R2", 60),), four_eyes=False, linger_s=5)
    assert Policy.from_json(policy.as_json()) == policy
    assert Policy.from_json({"terms": [{"kind": "R2", "amount_s": 60}], "ladder": [1, 2]}).terms == policy.terms
    assert Policy.from_json({}) == Policy()


@pytest.mark.parametrize(("words", "seconds"), [("2h", 7200), ("90min", 5400), ("5d", 432000), ("0.5h", 1800)])
def test_amounts(words, seconds):
    assert parse_amount(words) == seconds


@pytest.mark.parametrize("words", ["", "2", "h", "0h", "-2h", "2 weeks", "367d", "1e3s", "２h"])
def test_amounts_that_are_none(words):
    with pytest.raises(ValueError, match="write a duration"):
        parse_amount(words)
