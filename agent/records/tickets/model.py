"""What a ticket is, and the append-only events it is made of. Only fold.py makes a ticket out of them.

Everything is frozen and JSON-able, so that edge and relay fold the same events to the same ticket, with older or newer
code too: unknown kinds are passed over, missing fields take their defaults. Whether an act is allowed is rules.py's
business; an event has happened and is believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from agent.deadlines.deadline import Deadline
from agent.deadlines.policy import Policy
from agent.model import Actor, Text

SCHEMA = 1
SEVERITIES = ("stop", "quarantine", "watch")
"""Most severe first: stop the line, put parts aside, keep an eye on it."""


class State(StrEnum):
    """How far a ticket has come."""

    NEW = "NEW"
    RESPONDED = "RESPONDED"
    CONTAINED = "CONTAINED"
    ANALYSED = "ANALYSED"
    IMPLEMENTED = "IMPLEMENTED"
    VERIFIED = "VERIFIED"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


OVER = frozenset({State.CLOSED, State.CANCELLED})
SOLVED = OVER | {State.VERIFIED}
WORKING = frozenset(State) - SOLVED
"""Somebody has to do something by a due time."""

CLOCKS: Mapping[State, str] = {
    State.NEW: "R2",
    State.RESPONDED: "C24",
    State.CONTAINED: "A48",
    State.ANALYSED: "V5",
    State.IMPLEMENTED: "V5",
}
"""The deadline that the next step of a state stops, or works towards."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a ticket. `seq` counts from 1 without gaps; `data` is JSON; `kind` is past tense."""

    uuid: str
    ticket: str
    cycle: int
    seq: int
    at: datetime
    actor: Actor
    source: str
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return own | {"v": SCHEMA, "at": self.at.isoformat(), "actor": self.actor.as_json(), "data": dict(self.data)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Event:
        own = {f.name: data[f.name] for f in fields(Event)}
        return Event(**own | {"at": datetime.fromisoformat(data["at"]), "actor": Actor.from_json(data["actor"])})


@dataclass(frozen=True, slots=True)
class Step:
    """A step that somebody took."""

    by: str | None
    at: datetime
    text: str = ""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Cause and countermeasure; `owner` carries it out until `due` (a date, YYYY-MM-DD)."""

    by: str | None
    at: datetime
    root_cause: str
    countermeasure: str
    owner: str | None = None
    due: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A countermeasure that did not work, and how that came out (verified or recurred)."""

    at: datetime
    cycle: int
    countermeasure: str
    how: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who was told of a missed deadline of this cycle."""

    clock: str
    level: int
    to: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What is known of a problem when its ticket is opened.

    `figures`, all optional: value, unit, digits, stat (x or mean), center, lcl, ucl, lsl, usl, n.
    `photos` and `picture` (the control chart) are sha256 of blobs. `team` are the people brought into the group.
    """

    channel: str
    category: str
    severity: str
    title: Text
    description: str = ""
    dedup_key: str | None = None
    site: str | None = None
    line: str | None = None
    station: str | None = None
    part_no: str | None = None
    characteristic: str | None = None
    stream: str | None = None
    reporter: str | None = None
    owner: str | None = None
    team: tuple[str, ...] = ()
    event_at: datetime | None = None
    rules: tuple[str, ...] = ()
    occurrences: int = 1
    figures: Mapping[str, Any] = field(default_factory=dict)
    photos: tuple[str, ...] = ()
    picture: str | None = None
    recurrence_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket(Opening):
    """The state of a ticket: a fold of its events. A cycle runs from (re)opening to closing; steps are this cycle's."""

    no: str
    state: State
    cycle: int
    seq: int
    raised_at: datetime
    cycle_at: datetime
    """When this cycle began: its deadlines count from here."""
    group_cycle: int
    """The cycle in which the present group was made; a reopening out of VERIFIED keeps the group."""
    deadlines: tuple[Deadline, ...]
    policy: Policy
    first_at: datetime
    last_at: datetime
    updated_at: datetime
    responded: Step | None = None
    contained: Step | None = None
    analysed: Analysis | None = None
    implemented: Step | None = None
    verified: Step | None = None
    cancelled: Step | None = None
    failures: tuple[Failure, ...] = ()
    worst: Mapping[str, Any] = field(default_factory=dict)
    """The figures of this cycle that lay farthest outside; empty while none did."""
    effective: bool | None = None
    """The verdict on the last countermeasure; None before there is one."""
    reminded: tuple[str, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    reopen_count: int = 0
    linger_until: datetime | None = None
    closed_at: datetime | None = None

    @property
    def group(self) -> str:
        """The logical id of its group chat."""
        return f"group:{self.no}{self._suffix}"

    @property
    def card(self) -> str:
        """The logical id of its card."""
        return f"card:{self.no}{self._suffix}"

    @property
    def _suffix(self) -> str:
        return "" if self.group_cycle == 1 else f".c{self.group_cycle}"

    @property
    def members(self) -> tuple[str, ...]:
        """Who belongs to it beside the owner: the team, and those told of a missed deadline of this cycle."""
        return tuple(dict.fromkeys((*self.team, *(e.to for e in self.escalations))))

    @property
    def implementer(self) -> str | None:
        """Who carried out the countermeasure of this cycle."""
        return self.implemented.by if self.implemented else None

    @property
    def action_owner(self) -> str | None:
        """Who is to carry out the countermeasure: named in the analysis, else the owner."""
        return (self.analysed.owner if self.analysed else None) or self.owner

    @property
    def next_deadline(self) -> Deadline | None:
        """The running deadline of the next step: the state's own or, where that is stopped, the last running one."""
        running = [d for d in self.deadlines if d.running] if self.state in WORKING else []
        own = next((d for d in running if d.kind == CLOCKS[self.state]), None)
        return own or (running[-1] if running else None)

    def as_json(self) -> dict[str, Any]:
        return {f.name: encode(getattr(self, f.name)) for f in fields(self)} | {"v": SCHEMA}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Ticket:
        known = {f.name for f in fields(Ticket)}
        return Ticket(**{name: _DECODE.get(name, _same)(value) for name, value in data.items() if name in known})


T = TypeVar("T")


def encode(value: Any) -> Any:
    """Dataclasses, times and tuples as JSON values."""
    if isinstance(value, (Deadline, Policy)):
        return value.as_json()
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _same(value: Any) -> Any:
    return value


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _record(cls: type[T]) -> Callable[[Any], T | None]:
    """Reads a Step, Analysis, Failure or Escalation back; None stays None."""
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]

    def read(value: Any) -> T | None:
        own = {k: v for k, v in (value or {}).items() if k in known}
        return None if value is None else cls(**own | {"at": datetime.fromisoformat(value["at"])})

    return read


def _each(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda values: tuple(read(value) for value in values)


_DECODE: Mapping[str, Callable[[Any], Any]] = {
    "state": State,
    "deadlines": _each(Deadline.from_json),
    "policy": Policy.from_json,
    "failures": _each(_record(Failure)),
    "escalations": _each(_record(Escalation)),
    "analysed": _record(Analysis),
    **{name: _record(Step) for name in ("responded", "contained", "implemented", "verified", "cancelled")},
    **{name: _each(_same) for name in ("team", "rules", "photos", "reminded")},
    **dict.fromkeys(("raised_at", "cycle_at", "first_at", "last_at", "updated_at", "event_at"), _moment),
    **dict.fromkeys(("linger_until", "closed_at"), _moment),
}


def opening_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an Opening out of JSON, as keyword arguments."""
    known = {f.name for f in fields(Opening)}
    return {name: _DECODE.get(name, _same)(value) for name, value in data.items() if name in known}


def worse(one: str, other: str | None) -> str:
    """The more severe of two severities."""
    return min(one, other, key=SEVERITIES.index) if other in SEVERITIES and one in SEVERITIES else one


def beyond(figures: Mapping[str, Any]) -> str | None:
    """Which limit the value lies outside of: the specification for single values, then the control limits."""
    value, single = figures.get("value"), figures.get("stat") != "mean"
    for name, side, applies in (("lsl", -1, single), ("usl", 1, single), ("lcl", -1, True), ("ucl", 1, True)):
        bound = figures.get(name)
        if applies and value is not None and bound is not None and (value - bound) * side > 0:
            return name
    return None


def farther(one: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of two sets of figures the one that lies farther outside; empty if neither does."""

    def reach(figures: Mapping[str, Any]) -> tuple[int, float]:
        name = beyond(figures)
        if name is None:
            return 0, 0.0
        center = figures.get("center")
        return 1 + (name in ("lsl", "usl")), abs(figures["value"] - (figures[name] if center is None else center))

    best = max((one, other), key=reach)
    return dict(best) if beyond(best) else {}
