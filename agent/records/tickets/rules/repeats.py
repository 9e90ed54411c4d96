"""What a violation does: it opens a ticket, counts on one, fails a countermeasure, or brings a closed one back.

One problem, one ticket. A recovered signal closes nothing; only people and the linger time do.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.deadlines.policy import Policy
from agent.model import SYSTEM, Actor
from agent.records.tickets.model import Event, State, Ticket, farther
from agent.records.tickets.rules.opening import derived, reopening

SPC = Actor(None, frozenset({"system"}), "spc")


@dataclass(frozen=True, slots=True)
class Key:
    """Where a problem is. The rule is not in it: one characteristic that breaks four rules is one problem."""

    site: str | None = None
    line: str | None = None
    station: str | None = None
    part_no: str | None = None
    characteristic: str | None = None
    stream: str | None = None

    @property
    def dedup(self) -> str:
        """One open ticket stands for each of these."""
        return json.dumps([getattr(self, f.name) for f in fields(self)], ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A violation (or a batch of them, `count`) handed in by the pipeline or another SPC system.

    `id` is the caller's event id. `began_at` is when its episode began: only a new episode says anything about a
    countermeasure. `figures` are the latest for the card (see model.Opening); `severity` may raise the ticket's.
    """

    id: str
    key: Key
    rules: tuple[str, ...]
    at: datetime
    began_at: datetime
    severity: str | None = None
    count: int = 1
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What to do. For `opened` the caller makes a number and calls open_ticket, with `recurrence_of` if there is one
    (and then folds `recurrence()` into that old ticket); otherwise `events` are folded into `ticket`."""

    kind: Literal["opened", "counted", "recurred", "reopened"]
    ticket: Ticket | None = None
    events: tuple[Event, ...] = ()
    recurrence_of: str | None = None


def on_occurrence(
    open_ticket: Ticket | None, last_closed: Ticket | None, occurrence: Occurrence, now: datetime, policy: Policy
) -> Outcome:
    """Decide what an occurrence does.

    `open_ticket` is the ticket of the key that is neither CLOSED nor CANCELLED, `last_closed` the one of the key that
    was closed last (a cancelled one was a false alarm and binds nothing), `policy` the one of today. An occurrence
    whose episode began before the countermeasure was in place counts and proves nothing.
    """
    if open_ticket is not None:
        return _on_open(open_ticket, occurrence, now, policy)
    if last_closed is None or last_closed.state is not State.CLOSED or last_closed.closed_at is None:
        return Outcome("opened")
    if not _new_episode(last_closed, occurrence):
        return _outcome("counted", last_closed, occurrence, now, {})
    age = occurrence.at - last_closed.closed_at
    if age <= timedelta(seconds=policy.reopen_s):
        return _outcome("reopened", last_closed, occurrence, now, reopening(now, policy))
    recent = age <= timedelta(seconds=policy.recurrence_s)
    return Outcome("opened", recurrence_of=last_closed.no if recent else None)


def recurrence(old: Ticket, new_no: str, now: datetime) -> Event:
    """The event that marks the countermeasure of a closed ticket as ineffective: `new_no` is the same problem again."""
    uuid = derived(old.no, old.cycle, "recurred", new_no)
    return Event(uuid, old.no, old.cycle, old.seq + 1, now, SYSTEM, "spc", "recurred", {"ticket": new_no})


def _on_open(ticket: Ticket, occurrence: Occurrence, now: datetime, policy: Policy) -> Outcome:
    if ticket.state is State.IMPLEMENTED and _new_episode(ticket, occurrence):
        return _outcome("recurred", ticket, occurrence, now, {})
    if ticket.state is State.VERIFIED and _new_episode(ticket, occurrence):
        return _outcome("reopened", ticket, occurrence, now, reopening(now, policy))
    return _outcome("counted", ticket, occurrence, now, {})


def _new_episode(ticket: Ticket, occurrence: Occurrence) -> bool:
    return ticket.implemented is None or occurrence.began_at > ticket.implemented.at


def _outcome(
    kind: Literal["counted", "recurred", "reopened"],
    ticket: Ticket,
    occurrence: Occurrence,
    now: datetime,
    more: dict[str, Any],
) -> Outcome:
    data = _totals(ticket, occurrence) | more
    cycle = ticket.cycle + (kind == "reopened")
    uuid = derived(ticket.no, "occurrence", occurrence.id)
    event = Event(uuid, ticket.no, cycle, ticket.seq + 1, max(now, ticket.cycle_at), SPC, "spc", kind, data)
    return Outcome(kind, ticket, (event,))


def _totals(ticket: Ticket, occurrence: Occurrence) -> dict[str, Any]:
    """Totals after this occurrence, so that events in between may be left out of the history."""
    return {
        "occurrences": ticket.occurrences + occurrence.count,
        "rules": list(occurrence.rules),
        "first_at": min(ticket.first_at, occurrence.at).isoformat(),
        "last_at": max(ticket.last_at, occurrence.at).isoformat(),
        "severity": occurrence.severity,
        "figures": dict(occurrence.figures),
        "worst": dict(farther(ticket.worst, occurrence.figures)),
    }
