"""Events → ticket. Total: a known kind always applies, an unknown one only counts, nothing is refused here.

Facts that could be worked out again (due times, the policy) stand in the opening events and are taken from there, so
that a later calendar, setting or release never moves what was promised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from agent.deadlines.deadline import Deadline, breach, find, plan, stop, void
from agent.deadlines.policy import Policy
from agent.records.tickets.model import (
    OVER,
    Analysis,
    Escalation,
    Event,
    Failure,
    State,
    Step,
    Ticket,
    farther,
    opening_of,
    worse,
)


def fold(ticket: Ticket | None, event: Event) -> Ticket:
    """The ticket after `event`. Raises ValueError if there is no ticket and the event does not open one."""
    if ticket is None:
        if event.kind != "opened":
            raise ValueError(f"{event.ticket}: event {event.seq} ({event.kind}) comes before the ticket was opened")
        return _opened(event)
    handler = HANDLERS.get(event.kind)
    after = ticket if handler is None else handler(ticket, event)
    return replace(after, seq=max(ticket.seq, event.seq), updated_at=max(ticket.updated_at, event.at))


def _clocks(event: Event, policy: Policy) -> tuple[Deadline, ...]:
    given = event.data.get("deadlines")
    return plan(event.at, policy) if given is None else tuple(Deadline.from_json(d) for d in given)


def _text(event: Event, name: str = "text") -> str:
    return str(event.data.get(name) or "")


def _step(event: Event, name: str = "text") -> Step:
    return Step(event.actor.person, event.at, _text(event, name))


def _opened(event: Event) -> Ticket:
    data = event.data
    policy = Policy.from_json(data.get("policy", {}))
    opening = {"channel": event.source, "category": "", "severity": "watch", "title": event.ticket} | opening_of(data)
    seen_at = opening.get("event_at") or event.at
    return Ticket(
        **opening,
        no=event.ticket,
        state=State.NEW,
        cycle=event.cycle,
        seq=event.seq,
        raised_at=event.at,
        cycle_at=event.at,
        group_cycle=event.cycle,
        deadlines=_clocks(event, policy),
        policy=policy,
        first_at=seen_at,
        last_at=seen_at,
        updated_at=event.at,
        worst=farther({}, opening.get("figures") or {}),
    )


def _same(ticket: Ticket, event: Event) -> Ticket:
    return ticket


def _counted(ticket: Ticket, event: Event) -> Ticket:
    """Totals, not increments: events between two may be left out."""
    data = event.data
    return replace(
        ticket,
        occurrences=max(ticket.occurrences, int(data.get("occurrences", 0))),
        rules=tuple(dict.fromkeys((*ticket.rules, *data.get("rules", ())))),
        first_at=min(ticket.first_at, _at(data, "first_at", ticket.first_at)),
        last_at=max(ticket.last_at, _at(data, "last_at", ticket.last_at)),
        severity=worse(ticket.severity, data.get("severity")),
        figures=data.get("figures") or ticket.figures,
        worst=data.get("worst") or farther(ticket.worst, data.get("figures") or {}),
    )


def _at(data: Mapping[str, Any], name: str, default: datetime) -> datetime:
    value = data.get(name)
    return datetime.fromisoformat(value) if value else default


def _responded(ticket: Ticket, event: Event) -> Ticket:
    return replace(
        ticket,
        state=State.RESPONDED if ticket.state is State.NEW else ticket.state,
        responded=ticket.responded or _step(event),
        owner=ticket.owner or event.actor.person,  # who takes an ownerless ticket owns it
        deadlines=stop(ticket.deadlines, "R2", event.at),
    )


def _contained(ticket: Ticket, event: Event) -> Ticket:
    clocks = stop(ticket.deadlines, "C24", event.at)
    return replace(ticket, state=State.CONTAINED, contained=_step(event), deadlines=clocks)


def _analysed(ticket: Ticket, event: Event) -> Ticket:
    analysis = Analysis(
        event.actor.person,
        event.at,
        _text(event, "root_cause"),
        _text(event, "countermeasure"),
        event.data.get("owner"),
        event.data.get("due"),
    )
    clocks = stop(ticket.deadlines, "A48", event.at)
    return replace(ticket, state=State.ANALYSED, analysed=analysis, effective=None, deadlines=clocks)


def _implemented(ticket: Ticket, event: Event) -> Ticket:
    return replace(ticket, state=State.IMPLEMENTED, implemented=_step(event))


def _verified(ticket: Ticket, event: Event) -> Ticket:
    return replace(
        ticket,
        state=State.VERIFIED,
        verified=_step(event),
        effective=True,
        linger_until=_at(event.data, "linger_until", event.at),
        deadlines=stop(ticket.deadlines, "V5", event.at),
    )


def _failed(ticket: Ticket, event: Event, how: str) -> Ticket:
    """The countermeasure did not work: it is kept as a failure, its steps make room for the next one."""
    if ticket.analysed is None or ticket.effective is False:
        return replace(ticket, effective=False)
    failure = Failure(event.at, ticket.cycle, ticket.analysed.countermeasure, how, _text(event))
    return replace(ticket, effective=False, failures=(*ticket.failures, failure))


def _verification_failed(ticket: Ticket, event: Event) -> Ticket:
    return replace(_failed(ticket, event, "verified"), state=State.CONTAINED, analysed=None, implemented=None)


def _recurred(ticket: Ticket, event: Event) -> Ticket:
    """Before verification: back to CONTAINED. Of a ticket that is over: only its countermeasure is marked."""
    after = _failed(_counted(ticket, event), event, "recurred")
    if ticket.state in OVER:
        return after
    return replace(after, state=State.CONTAINED, analysed=None, implemented=None)


def _reopened(ticket: Ticket, event: Event) -> Ticket:
    policy = Policy.from_json(event.data["policy"]) if "policy" in event.data else ticket.policy
    return replace(
        _failed(_counted(ticket, event), event, "recurred"),
        state=State.NEW,
        cycle=event.cycle,
        worst=farther({}, event.data.get("figures") or ticket.worst),
        cycle_at=event.at,
        group_cycle=event.cycle if ticket.state in OVER else ticket.group_cycle,
        policy=policy,
        deadlines=_clocks(event, policy),
        responded=None,
        contained=None,
        analysed=None,
        implemented=None,
        verified=None,
        reminded=(),
        escalations=(),
        reopen_count=ticket.reopen_count + 1,
        linger_until=None,
        closed_at=None,
    )


def _closed(ticket: Ticket, event: Event) -> Ticket:
    return replace(ticket, state=State.CLOSED, closed_at=event.at, linger_until=None)


def _cancelled(ticket: Ticket, event: Event) -> Ticket:
    return replace(
        ticket,
        state=State.CANCELLED,
        cancelled=_step(event, "reason"),
        closed_at=event.at,
        linger_until=_at(event.data, "linger_until", event.at),
        deadlines=void(ticket.deadlines, event.at),
    )


def _left(ticket: Ticket, event: Event) -> Ticket:
    return replace(ticket, linger_until=None)


def _reassigned(ticket: Ticket, event: Event) -> Ticket:
    """The old owner stays in the team (and so may still act); no clock moves."""
    old = () if ticket.owner is None or ticket.owner in ticket.team else (ticket.owner,)
    return replace(ticket, owner=event.data.get("to") or ticket.owner, team=(*ticket.team, *old))


def _attached(ticket: Ticket, event: Event) -> Ticket:
    sha = _text(event, "sha")
    if not sha:
        return ticket
    if event.data.get("as") == "picture":
        return replace(ticket, picture=sha)
    return replace(ticket, photos=tuple(dict.fromkeys((*ticket.photos, sha))))


def _reminded(ticket: Ticket, event: Event) -> Ticket:
    return replace(ticket, reminded=tuple(dict.fromkeys((*ticket.reminded, _text(event, "clock")))))


def _breached(ticket: Ticket, event: Event) -> Ticket:
    clock = _text(event, "clock")
    deadline = find(ticket.deadlines, clock)
    due_at = _at(event.data, "due_at", deadline.due_at if deadline else event.at)
    return replace(ticket, deadlines=breach(ticket.deadlines, clock, due_at))


def _breach_withdrawn(ticket: Ticket, event: Event) -> Ticket:
    return replace(ticket, deadlines=breach(ticket.deadlines, _text(event, "clock"), None))


def _escalated(ticket: Ticket, event: Event) -> Ticket:
    """The superior is told and belongs to the ticket; the owner stays the owner."""
    data = event.data
    told = Escalation(
        _text(event, "clock"), int(data.get("level", 1)), _text(event, "to"), _text(event, "reason"), event.at
    )
    return replace(ticket, escalations=(*ticket.escalations, told))


HANDLERS: Mapping[str, Callable[[Ticket, Event], Ticket]] = {
    "opened": _same,  # a second one changes nothing
    "counted": _counted,
    "responded": _responded,
    "contained": _contained,
    "analysed": _analysed,
    "implemented": _implemented,
    "verified": _verified,
    "verification_failed": _verification_failed,
    "recurred": _recurred,
    "reopened": _reopened,
    "closed": _closed,
    "cancelled": _cancelled,
    "left": _left,
    "reassigned": _reassigned,
    "commented": _same,
    "reminded": _reminded,
    "breached": _breached,
    "escalated": _escalated,
    "breach_withdrawn": _breach_withdrawn,
    "attached": _attached,
}
