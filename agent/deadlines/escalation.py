"""Whom a missed deadline goes to: up the owner's line, then the department, then a list. Never to nobody.

leader → (inactive: his leader, level by level) → department head → fallback list. The owner himself, people already
met (rings in the org chart), inactive and unknown ones are passed by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, Protocol

from agent.errors import ConfigError

NOBODY = "name at least one employee number, such as the duty's"
Reason = Literal["leader", "leader_inactive", "department_head", "fallback"]


class Member(Protocol):
    """What escalation asks of a person (plant/people.py has them)."""

    @property
    def leader(self) -> str | None: ...
    @property
    def department(self) -> str | None: ...
    @property
    def active(self) -> bool: ...


class Unit(Protocol):
    """What escalation asks of a department."""

    @property
    def head(self) -> str | None: ...


def superior(
    owner: str | None,
    people: Mapping[str, Member],
    departments: Mapping[str, Unit],
    fallback: Sequence[str],
) -> tuple[str, Reason]:
    """The person a missed deadline of `owner` goes to, and why that one.

    `owner` None or unknown (nobody is responsible, or the org chart is not here yet) goes to the fallback list.
    Raises ConfigError for an empty fallback list.
    """
    require(fallback)
    for candidate, reason in _line(owner, people, departments):
        if candidate != owner and candidate in people and people[candidate].active:
            return candidate, reason
    others = [person for person in fallback if person != owner]
    # People of the list who are not in the org chart are taken at their word: told in vain is better than not told.
    usable = [person for person in others if person not in people or people[person].active]
    return (usable or others or list(fallback))[0], "fallback"


def require(fallback: Sequence[str]) -> None:
    """Refuse to start without somebody to tell. Raises ConfigError."""
    if not any(person.strip() for person in fallback):
        raise ConfigError("deadlines.escalation.fallback", list(fallback), NOBODY)


def _line(
    owner: str | None, people: Mapping[str, Member], departments: Mapping[str, Unit]
) -> Iterator[tuple[str, Reason]]:
    """Candidates above the owner, nearest first; a ring ends the climb."""
    person = people.get(owner) if owner else None
    if person is None:
        return
    seen, boss, reason = {owner}, person.leader, "leader"
    while boss is not None and boss not in seen:
        yield boss, "leader" if reason == "leader" else "leader_inactive"
        seen.add(boss)
        boss, reason = (people[boss].leader if boss in people else None), "leader_inactive"
    unit = departments.get(person.department) if person.department else None
    if unit is not None and unit.head is not None:
        yield unit.head, "department_head"
