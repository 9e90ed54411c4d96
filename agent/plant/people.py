"""Who is who: people, departments, and the directory that rules and cards ask. Pure values; rows.py stores them.

A person's id is the plant's employee number. Roles: operator, engineer, leader, quality, admin; `api` is a machine
token's and may only raise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agent.deadlines.escalation import Reason, superior
from agent.model import Text


@dataclass(frozen=True, slots=True)
class Person:
    """One person, as the plant and the office know them."""

    id: str
    name: str
    leader: str | None = None
    department: str | None = None
    roles: frozenset[str] = frozenset()
    active: bool = True
    email: str | None = None
    mobile: str | None = None
    open_id: str | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class Department:
    """A department and the person who heads it."""

    id: str
    head: str | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """The people and places of the plant at a moment, for rules, cards and messages.

    `fallback` is told when no superior can be found; it must not be empty (deadlines/settings.py sees to that).
    `labels` maps "line:L3", "station:OP40", "characteristic:…", "category:…" to the words shown for that id.
    """

    people: Mapping[str, Person] = field(default_factory=dict)
    departments: Mapping[str, Department] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()
    labels: Mapping[str, Text] = field(default_factory=dict)

    def name(self, person: str | None) -> str:
        """A person's name; the employee number of someone unknown, — for nobody."""
        if person is None:
            return "—"
        known = self.people.get(person)
        return known.name if known else person

    def label(self, kind: str, id_: str | None) -> Text:
        """The words for a place, characteristic or category; the id itself if it has none, — for None."""
        return "—" if id_ is None else self.labels.get(f"{kind}:{id_}", id_)

    def active(self, person: str | None) -> bool:
        """Known and still here."""
        return person is not None and person in self.people and self.people[person].active

    def gone(self, person: str) -> bool:
        """Known and no longer here (someone unknown is not gone)."""
        return person in self.people and not self.people[person].active

    def same_department(self, one: str | None, other: str | None) -> bool:
        """True if both are known and stand in one department."""
        a, b = self.people.get(one or ""), self.people.get(other or "")
        return a is not None and b is not None and a.department is not None and a.department == b.department

    def superior(self, owner: str | None) -> tuple[str, Reason]:
        """Whom a missed deadline of `owner` goes to, and why. Raises ConfigError for an empty fallback."""
        return superior(owner, self.people, self.departments, self.fallback)

    def with_role(self, *roles: str) -> list[Person]:
        """Active people that have one of the roles, by id."""
        wanted = frozenset(roles)
        return [p for _, p in sorted(self.people.items()) if p.active and p.roles & wanted]
