"""Whom a missed deadline goes to. Never to nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.deadlines.escalation import superior
from agent.errors import ConfigError
from agent.plant.people import Department, Directory, Person


def crowd(*people: Person, heads: dict[str, str | None] | None = None, fallback: tuple[str, ...] = ("duty",)):
    units = {id_: Department(id_, head) for id_, head in (heads or {}).items()}
    return Directory({p.id: p for p in people}, units, fallback)


OWNER = Person("own", "责任工程师", leader="lead", department="D1")


@pytest.mark.parametrize(
    ("people", "heads", "expected"),
    [
        ([OWNER, Person("lead", "科长")], {}, ("lead", "leader")),
        (
            [OWNER, Person("lead", "科长", leader="mgr", active=False), Person("mgr", "经理")],
            {},
            ("mgr", "leader_inactive"),
        ),
        (
            [OWNER, Person("lead", "科长", active=False), Person("head", "部长")],
            {"D1": "head"},
            ("head", "department_head"),
        ),
        ([OWNER, Person("head", "部长")], {"D1": "head"}, ("head", "department_head")),  # leader not in the org chart
        ([OWNER, Person("lead", "科长", active=False)], {"D1": None}, ("duty", "fallback")),
        ([Person("own", "x", department="D9")], {"D9": "own"}, ("duty", "fallback")),  # head of their own department
        ([Person("own", "x", leader="own")], {}, ("duty", "fallback")),  # their own leader
        (
            [OWNER, Person("lead", "科长", leader="own", active=False)],  # a ring
            {"D1": "gone"},
            ("duty", "fallback"),
        ),
        ([], {}, ("duty", "fallback")),  # the org chart is not here yet
    ],
)
def test_order(people, heads, expected):
    assert crowd(*people, heads=heads).superior("own") == expected


def test_nobody_responsible_goes_to_the_fallback():
    assert crowd(OWNER).superior(None) == ("duty", "fallback")


def test_the_fallback_skips_who_is_gone_and_the_owner():
    away = Person("duty", "值班", active=False)
    assert crowd(away, OWNER, fallback=("duty", "own", "night")).superior("own") == ("night", "fallback")


def test_a_bad_fallback_is_still_better_than_nobody():
    assert crowd(Person("duty", "值班", active=False)).superior("own")[0] == "duty"
    assert crowd(fallback=("own",)).superior("own")[0] == "own"


def test_an_empty_fallback_is_a_config_error():
    with pytest.raises(ConfigError):
        superior("own", {}, {}, [])


ids = st.sampled_from("abcdef")


@given(
    st.dictionaries(ids, st.tuples(st.none() | ids, st.booleans(), st.sampled_from(["D1", "D2"]))),
    st.dictionaries(st.sampled_from(["D1", "D2"]), st.none() | ids),
    ids,
)
def test_any_org_chart_ends_with_somebody_active(chart, heads, owner):
    people = [Person(id_, id_, boss, unit, active=active) for id_, (boss, active, unit) in chart.items()]
    who, reason = crowd(*people, heads=heads).superior(owner)
    assert who != owner
    assert who == "duty" if reason == "fallback" else chart[who][1]
