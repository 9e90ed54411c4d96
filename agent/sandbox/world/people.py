"""Who exists: people with their ids, departments, leaders. Ids follow from the employee number, so they last."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from agent.errors import ConfigError

ROOT = "0"
"""The root department's id, in both id types."""


def derive(*parts: str) -> str:
    """64 hex digits that are always the same for the same parts."""
    return sha256("\x1f".join(parts).encode()).hexdigest()


@dataclass(slots=True)
class Department:
    """A department. `id` is the plant's own, `open_id` (od-…) Feishu's; `leader` is an employee number."""

    id: str
    name: str
    parent: str = ROOT
    leader: str | None = None

    @property
    def open_id(self) -> str:
        return ROOT if self.id == ROOT else "od-" + derive("department", self.id)[:32]


@dataclass(slots=True)
class Person:
    """A person. `id` is the employee number; open_id holds for an app, user_id for a tenant, union_id for a vendor."""

    id: str
    name: str
    open_id: str
    user_id: str
    union_id: str
    email: str
    mobile: str
    department: str = ROOT
    leader: str | None = None
    roles: list[str] = field(default_factory=list)
    note: str | dict[str, str] = ""
    """Who that is, shown on the page: in words, or in both languages."""
    resigned: bool = False

    @property
    def title(self) -> str:
        """The note in one language, as Feishu has it."""
        return self.note if isinstance(self.note, str) else self.note.get("zh", "")

    def ids(self) -> dict[str, str]:
        """The three ids as events carry them."""
        return {"union_id": self.union_id, "user_id": self.user_id, "open_id": self.open_id}

    def by_type(self, id_type: str) -> str:
        """The id of that type (open_id, user_id, union_id)."""
        return self.ids()[id_type]


class Directory:
    """All people and departments, looked up by any id."""

    def __init__(self, people: Iterable[Person], departments: Iterable[Department] = ()) -> None:
        self.people = {person.id: person for person in people}
        self.departments = {department.id: department for department in departments}
        self.departments.setdefault(ROOT, Department(ROOT, "", ROOT))

    def find(self, id_type: str, value: str) -> Person | None:
        """The person with that open_id, user_id, union_id, email or mobile, or None."""
        return next((p for p in self.people.values() if getattr(p, id_type) == value), None)

    def named(self, value: str) -> Person | None:
        """The person with any of the three ids (cards may use each)."""
        return next((p for p in self.people.values() if value in (p.open_id, p.user_id, p.union_id)), None)

    def department(self, id_type: str, value: str) -> Department | None:
        """The department by `department_id` (the plant's) or `open_department_id`; the root is "0" in both."""
        attribute = "id" if id_type == "department_id" else "open_id"
        return next((d for d in self.departments.values() if getattr(d, attribute) == value), None)

    def children(self, parent: Department, deep: bool) -> Iterator[Department]:
        """Departments below `parent`; with `deep` all levels, top down."""
        for department in self.departments.values():
            if department.parent == parent.id and department.id != parent.id:
                yield department
                if deep:
                    yield from self.children(department, deep)

    def members(self, department: Department) -> list[Person]:
        """Direct members who have not resigned."""
        return [p for p in self.people.values() if p.department == department.id and not p.resigned]


def directory(data: Mapping[str, Any], app_id: str) -> Directory:
    """Read {"departments": [{id, name, parent?, leader?}], "people": [{id, name, …}]}. Raises ConfigError."""
    try:
        departments = [
            Department(str(d["id"]), str(d["name"]), str(d.get("parent", ROOT)), d.get("leader"))
            for d in data.get("departments", ())
        ]
        people = [_person(raw, app_id) for raw in data["people"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError("people", str(error), "each person needs id and name, each department id and name") from error
    found = Directory(people, departments)
    for person in people:
        if person.leader is not None and person.leader not in found.people:
            raise ConfigError("people.leader", person.leader, f"leader of {person.id}, but no such person")
        if person.department not in found.departments:
            raise ConfigError("people.department", person.department, f"department of {person.id}, but not listed")
    return found


def _person(raw: Mapping[str, Any], app_id: str) -> Person:
    number = str(raw["id"])
    digest = derive("person", number)
    return Person(
        id=number,
        name=str(raw["name"]),
        open_id=str(raw.get("open_id") or "ou_" + derive(app_id, number)[:32]),
        user_id=str(raw.get("user_id") or digest[:8]),
        union_id=str(raw.get("union_id") or "on_" + digest[8:40]),
        email=str(raw.get("email") or f"{number}@plant.example"),
        mobile=str(raw.get("mobile") or f"+86138{int(digest[40:52], 16) % 10**8:08d}"),
        department=str(raw.get("department", ROOT)),
        leader=raw.get("leader"),
        roles=[str(role) for role in raw.get("roles", ())],
        note=raw.get("note", ""),
        resigned=bool(raw.get("resigned", False)),
    )


def load_directory(path: Path | None, app_id: str) -> Directory:
    """The people of a JSON file, or the bundled sample plant. Raises ConfigError when the file cannot be used."""
    if path is None:
        return directory(json.loads(files(__package__).joinpath("people.sample.json").read_text("utf-8")), app_id)
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError("people", path.name, f"not a readable JSON file: {type(error).__name__}") from error
    return directory(data, app_id)
