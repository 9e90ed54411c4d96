"""Subgroups, specification, severities, and the texts of the rules."""

from __future__ import annotations

from math import inf, nan, nextafter

import pytest

from agent.spc.rules import RULES
from agent.spc.severity import DEFAULT, Severity, Split, severities, split, watched
from agent.spc.specification import Specification
from agent.spc.subgroups import Subgroups
from agent.texts import LANGUAGES, table


def test_a_subgroup_closes_by_count() -> None:
    groups = Subgroups(3)
    assert [groups.push(x) for x in (1.0, 2.0, 3.0, 4.0)] == [None, None, (1.0, 2.0, 3.0), None]
    assert groups.open == (4.0,)


def test_a_subgroup_of_one_is_never_open() -> None:
    groups = Subgroups(1)
    assert groups.push(1.0) == (1.0,) and groups.open == ()


def test_an_open_subgroup_survives_restart_and_rollback() -> None:
    groups, after = Subgroups(3), Subgroups(3)
    groups.push(1.0)
    kept = groups.open
    groups.push(2.0)
    groups.push(3.0)
    groups.restore(kept)
    after.restore([1.0])
    assert groups.open == after.open == (1.0,)
    assert [groups.push(x) for x in (5.0, 6.0)] == [after.push(x) for x in (5.0, 6.0)] == [None, (1.0, 5.0, 6.0)]


def test_closing_returns_the_incomplete_subgroup_once() -> None:
    groups = Subgroups(3)
    groups.push(1.0)
    assert (groups.close(), groups.close(), groups.open) == ((1.0,), None, ())


def test_a_full_subgroup_cannot_be_open() -> None:
    with pytest.raises(ValueError, match="fewer"):
        Subgroups(2).restore([1.0, 2.0])
    with pytest.raises(ValueError, match="size"):
        Subgroups(0)


def test_specification() -> None:
    width = Specification(lsl=420.0, usl=460.0)
    edge = [420.0, nextafter(420.0, -inf), 460.0, nextafter(460.0, inf), 440.0]
    assert [width.check(x) for x in edge] == [None, "below", None, "above", None]
    assert Specification(usl=1.0).check(-1e9) is None and Specification(lsl=1.0).check(0.0) == "below"
    assert Specification().check(1e9) is None


@pytest.mark.parametrize(("lsl", "usl"), [(2.0, 1.0), (1.0, 1.0), (nan, None), (None, inf)])
def test_impossible_specification(lsl: float | None, usl: float | None) -> None:
    with pytest.raises(ValueError, match="sl"):
        Specification(lsl, usl)


def test_default_severities() -> None:
    assert {rule: s for rule, s in DEFAULT.items() if s is not Severity.OFF} == {
        "N1": Severity.TICKET,
        "W4": Severity.TICKET,
        "N3": Severity.WARNING,
    }
    assert watched(DEFAULT) == ("N1", "N3", "W4")


def test_no_violation_hides_another() -> None:
    of = severities({"N2": "warning", "N1": "off"})
    assert split(("W4", "N1", "N2", "N3"), of) == Split(ticket=("W4",), warning=("N2", "N3"), off=("N1",))
    assert split((), of) == Split((), (), ())


@pytest.mark.parametrize("configured", [{"N9": "ticket"}, {"N1": "loud"}])
def test_unknown_names_in_severities(configured: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one of"):
        severities(configured)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_rule_has_a_text(lang: str) -> None:
    keys = {f"spc.rule.{rule}" for rule in RULES} | {"spc.baseline.short", "spc.baseline.flat"}
    assert not keys - table(lang).keys()
