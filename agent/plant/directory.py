"""People and departments in the store: read from CSV at start, asked by everything that needs a name or a superior."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from agent.errors import ConfigError
from agent.model import Text
from agent.plant.people import Department, Directory, Person
from agent.plant.rows import department, person
from agent.store.write import announce

_PEOPLE = ("id", "name", "leader", "department", "roles", "email", "mobile", "open_id", "user_id", "active")
SLICE = 300
"""People in one item of the link."""
ROLES = frozenset({"operator", "engineer", "leader", "quality", "admin"})


def read_people(path: Path) -> list[Person]:
    """The people of a CSV file (UTF-8, with or without BOM; roles separated by spaces).

    Raises BadTable with every problem found, each naming line, column and remedy; ConfigError for no table at all.
    """
    wrong: list[ConfigError] = []
    rows = _rows("directory.people_file", path, {"id", "name"}, set(_PEOPLE), wrong)
    people = [_person(path, number, row, wrong) for number, row in rows]
    known = {p.id for p in people}
    hint = "not in the file; add the person or leave it empty"
    wrong += [
        ConfigError(f"{path.name}, {p.id}, leader", p.leader, hint)
        for p in people
        if p.leader is not None and p.leader not in known
    ]
    if wrong:
        raise BadTable(path, wrong)
    return people


def read_departments(path: Path) -> list[Department]:
    """The departments of a CSV file: id, head. Raises as `read_people`."""
    wrong: list[ConfigError] = []
    rows = list(_rows("directory.departments_file", path, {"id", "head"}, {"id", "head"}, wrong))
    if wrong:
        raise BadTable(path, wrong)
    return [Department(row["id"], row.get("head") or None) for _, row in rows]


class BadTable(ConfigError):
    """A CSV file has wrong lines; `found` lists them all."""

    def __init__(self, path: Path, found: list[ConfigError]) -> None:
        super().__init__(path.name, len(found), "; ".join(str(e) for e in found))
        self.found = found


def _rows(
    field: str, path: Path, needed: set[str], known: set[str], wrong: list[ConfigError]
) -> Iterable[tuple[int, Mapping[str, str]]]:
    """The lines of a table that have an id of their own, with their numbers; the others are added to `wrong`."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            names = set(reader.fieldnames or ())
            if not needed <= names or not names <= known:
                raise ConfigError(
                    path.name, ",".join(reader.fieldnames or ()), f"columns are {','.join(sorted(known))}"
                )
            seen: set[str] = set()
            for number, row in enumerate(reader, start=2):
                if not row["id"] or row["id"] in seen:
                    hint = "give each line an id of its own"
                    wrong.append(ConfigError(f"{path.name}, line {number}, id", row["id"], hint))
                    continue
                seen.add(row["id"])
                yield number, row
    except OSError as error:
        hint = f"cannot be read: {error.strerror}; name a CSV file that is there, or leave the setting out"
        raise ConfigError(field, str(path), hint) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(field, str(path), f"cannot be read: {error}; save it as CSV in UTF-8") from error


def _person(path: Path, number: int, row: Mapping[str, str], wrong: list[ConfigError]) -> Person:
    where = f"{path.name}, line {number}"
    if not row["name"]:
        wrong.append(ConfigError(f"{where}, name", row["name"], "give everybody a name"))
    roles = frozenset((row.get("roles") or "operator").split())
    if not roles <= ROLES:
        wrong.append(ConfigError(f"{where}, roles", row.get("roles"), f"of {' '.join(sorted(ROLES))}"))
    return Person(
        id=row["id"],
        name=row["name"],
        leader=row.get("leader") or None,
        department=row.get("department") or None,
        roles=roles,
        active=(row.get("active") or "1").strip().lower() in ("1", "true", "yes", "是"),
        email=row.get("email") or None,
        mobile=row.get("mobile") or None,
        open_id=row.get("open_id") or None,
        user_id=row.get("user_id") or None,
    )


def replace_people(conn: Connection, people: Sequence[Person], departments: Sequence[Department]) -> bool:
    """Make the store hold exactly these; returns whether anything changed."""
    before = directory(conn)
    after = Directory({p.id: p for p in people}, {d.id: d for d in departments})
    if before == after:
        return False
    conn.execute(delete(person))
    conn.execute(delete(department))
    if people:
        conn.execute(insert(person), [_as_row(p) for p in people])
    if departments:
        conn.execute(insert(department), [{"id": d.id, "head": d.head} for d in departments])
    announce(conn, "people")
    return True


def directory(conn: Connection, fallback: Sequence[str] = (), labels: Mapping[str, Text] | None = None) -> Directory:
    """Everybody, as the pure parts want them; `fallback` and `labels` come from the settings."""
    people = {r.id: person_of(dict(r._mapping)) for r in conn.execute(select(person))}
    departments = {r.id: Department(r.id, r.head) for r in conn.execute(select(department))}
    return Directory(people, departments, tuple(fallback), labels or {})


def as_payloads(known: Directory) -> Iterator[dict[str, Any]]:
    """The directory as it travels to the relay, in slices that an item can hold."""
    people = [_as_row(p) for p in known.people.values()]
    departments = [{"id": d.id, "head": d.head} for d in known.departments.values()]
    for start in range(0, max(len(people), len(departments), 1), SLICE):
        yield {"people": people[start : start + SLICE], "departments": departments[start : start + SLICE]}


def take_people(conn: Connection, now: datetime, edge: str, payload: Mapping[str, Any]) -> None:
    """The relay takes an edge's directory: its people are added or renewed, nobody is removed (edges may differ)."""
    for row in payload["people"]:
        conn.execute(delete(person).where(person.c.id == row["id"]))
        conn.execute(insert(person).values(**row))
    for row in payload["departments"]:
        conn.execute(delete(department).where(department.c.id == row["id"]))
        conn.execute(insert(department).values(**row))
    announce(conn, "people")


def person_row(conn: Connection, person_id: str) -> Mapping[str, Any] | None:
    """One person as a mapping (outbox.sink.Names.person)."""
    row = conn.execute(select(person).where(person.c.id == person_id)).first()
    return None if row is None else dict(row._mapping)


def person_of(row: Mapping[str, Any]) -> Person:
    """A Person from a row."""
    return Person(**{**row, "roles": frozenset(row["roles"])})


def _as_row(p: Person) -> dict[str, Any]:
    return {
        "id": p.id, "name": p.name, "leader": p.leader, "department": p.department, "roles": sorted(p.roles),
        "active": p.active, "email": p.email, "mobile": p.mobile, "open_id": p.open_id, "user_id": p.user_id,
    }  # fmt: skip
