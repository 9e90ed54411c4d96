"""How a ticket stands on tile, row, wall and card: the lamp, the sentence, the 2485 strip, the summary, the history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agent.deadlines.deadline import Deadline, late, marks, status, used
from agent.deadlines.policy import DAY, HOUR
from agent.model import Attention, Text, text
from agent.plant.people import Directory
from agent.records.tickets.model import SOLVED, WORKING, Event, State, Ticket
from agent.records.tickets.rules.acts import allowed
from agent.records.tickets.rules.fold import HANDLERS
from agent.records.tickets.rules.who import names, next_actors


def attention(ticket: Ticket, now: datetime) -> Attention:
    """The one function that decides the lamp of a ticket, drawn the same everywhere (look/README 1.4).

    now: a running deadline is missed, or a stopped line that nobody answered. soon: a running deadline is 75 % used,
    or a ticket that nobody answered. What is over and done is history, not a lamp.
    """
    if ticket.state not in WORKING:
        return Attention.NONE
    shown = marks(ticket.deadlines, now)
    fresh = ticket.state is State.NEW
    if "missed" in shown or (fresh and ticket.severity == "stop"):
        return Attention.NOW
    return Attention.SOON if "near" in shown or fresh else Attention.NONE


def amount(seconds: int) -> Text:
    """The length of a deadline as its name says it: 2 h, 48 h, 5 d."""
    if seconds % DAY == 0 and seconds >= 3 * DAY:
        return text("tickets.amount.d", n=seconds // DAY)
    if seconds % HOUR == 0:
        return text("tickets.amount.h", n=seconds // HOUR)
    return text("tickets.amount.min", n=round(seconds / 60))


def clock_name(kind: str, amount_s: int) -> Text:
    """2 h 响应, 24 h 遏制, 48 h 对策, 5 天 验证."""
    return text(f"tickets.clock.{kind}", amount=amount(amount_s))


def moment(at: datetime) -> Text:
    """A time as a text argument."""
    return {"at": at.isoformat()}


def strip(ticket: Ticket, now: datetime) -> list[dict[str, Any]]:
    """The 2485 strip: always all deadlines, in their order, with mark, share used and words."""
    return [
        {
            "kind": d.kind,
            "name": clock_name(d.kind, d.amount_s),
            "mark": mark,
            "due_at": d.due_at.isoformat(),
            "stopped_at": d.stopped_at.isoformat() if d.stopped_at else None,
            "used": round(used(d, now), 4),
            "text": _strip_text(d, mark, now),
        }
        for d, mark in zip(ticket.deadlines, marks(ticket.deadlines, now), strict=True)
    ]


def _strip_text(deadline: Deadline, mark: str, now: datetime) -> Text:
    over = late(deadline, now).total_seconds()
    match mark:
        case "void":
            return text("tickets.strip.void")
        case "met" if deadline.stopped_at is not None:
            return text("tickets.strip.met", used=_seconds(deadline.stopped_at - deadline.started_at))
        case "late":
            return text("tickets.strip.late", late={"seconds": over})
        case "missed":
            return text("tickets.strip.missed", over={"seconds": over}) if over >= 60 else text("tickets.strip.due")
    return text("tickets.strip.left", left=_seconds(deadline.due_at - now))


def _seconds(span: Any) -> Text:
    return {"seconds": max(0.0, span.total_seconds())}


def lead(ticket: Ticket, now: datetime, directory: Directory) -> Text:
    """Who does what until when, in one line; for a solved ticket how it ended."""
    if ticket.state in SOLVED:
        return ending(ticket, directory)
    who = names(next_actors(ticket, directory), directory, _nobody(ticket))
    deadline = ticket.next_deadline
    if deadline is None:
        return text("tickets.wait.plain", who=who, act=text(f"tickets.next.{ticket.state}"))
    if status(deadline, now) != "breached":
        return text(f"tickets.wait.{ticket.state}", who=who, left=_seconds(deadline.due_at - now))
    told = [e.to for e in ticket.escalations if e.clock == deadline.kind]
    clock = clock_name(deadline.kind, deadline.amount_s)
    key = "tickets.wait.missed_told" if told else "tickets.wait.missed"
    superior = directory.name(told[-1]) if told else ""
    return text(key, who=who, clock=clock, over=_seconds(now - deadline.due_at), superior=superior)


def _nobody(ticket: Ticket) -> str:
    return "tickets.who.quality" if ticket.state is State.IMPLEMENTED else "tickets.who.owner"


def ending(ticket: Ticket, directory: Directory) -> Text:
    """How a ticket was solved, closed or cancelled."""
    step = ticket.cancelled if ticket.state is State.CANCELLED else ticket.verified
    if step is None:  # closed by events of a newer agent that this one does not know
        return text(f"tickets.state.{ticket.state}")
    args = {"who": directory.name(step.by), "at": moment(step.at), "reason": step.text}
    return text(f"tickets.lead.{ticket.state}", **args, closed=moment(ticket.closed_at or step.at))


def person(directory: Directory, who: str | None) -> dict[str, str] | None:
    """A person as the pages want them."""
    return None if who is None else {"id": who, "name": directory.name(who)}


def summary(ticket: Ticket, now: datetime, directory: Directory) -> dict[str, Any]:
    """The ticket of the kiosk API, all but "outbox", which the store knows."""
    return {
        "no": ticket.no,
        "short": short(ticket.no),
        "title": ticket.title,
        "description": ticket.description,
        "state": str(ticket.state),
        "cycle": ticket.cycle,
        "severity": ticket.severity,
        "category": ticket.category,
        "station": ticket.station,
        "characteristic": ticket.characteristic,
        "owner": person(directory, ticket.owner),
        "reporter": person(directory, ticket.reporter),
        "raised_at": ticket.raised_at.isoformat(),
        "occurrences": ticket.occurrences,
        "last_at": ticket.last_at.isoformat(),
        "attention": str(attention(ticket, now)),
        "lead": lead(ticket, now, directory),
        "strip": strip(ticket, now),
        "actions": allowed(ticket),
    }


def short(no: str) -> str:
    """The number as a kiosk shows it: without site and edge (261122-007)."""
    return "-".join(no.split("-")[-2:])


def history(events: Sequence[Event], directory: Directory) -> list[dict[str, Any]]:
    """What happened, oldest first, one sentence each; of repeats in a row only the last one, it has the total."""
    amounts: dict[str, int] = {}
    rows = []
    for event, following in zip(events, [*events[1:], None], strict=True):
        amounts |= {d["kind"]: d["amount_s"] for d in event.data.get("deadlines", ())}
        if event.kind == "counted" and following is not None and following.kind == "counted":
            continue
        rows.append(
            {
                "at": event.at.isoformat(),
                "actor": person(directory, event.actor.person),
                "via": event.source,
                "kind": event.kind,
                "text": _sentence(event, directory, amounts),
            }
        )
    return rows


WITH_TEXT = frozenset({"implemented", "verified", "verification_failed", "reopened"})
"""Kinds whose sentence has a second form for when words were given."""


def _sentence(event: Event, directory: Directory, amounts: dict[str, int]) -> Text:
    data = event.data
    if event.kind not in HANDLERS:
        return text("tickets.history.other", kind=event.kind)
    clock = data.get("clock")
    args = {name: data[name] for name in _PLAIN if data.get(name) not in (None, "", [])}
    args |= {name: directory.name(data[name]) for name in ("to", "owner") if data.get(name)}
    if event.actor.person is not None:
        args["who"] = directory.name(event.actor.person)
    if clock:
        args["clock"] = clock_name(clock, amounts.get(clock, 0))
    if data.get("due_at"):
        args["due"] = {"at": data["due_at"]}
    if event.kind == "escalated":
        args["reason"] = text(f"tickets.reason.{data.get('reason')}", owner=text("tickets.who.owner"))
    return text(f"tickets.history.{_variant(event)}", **args, cycle=event.cycle)


_PLAIN = ("text", "reason", "root_cause", "countermeasure", "occurrences", "rules", "ticket")


def _variant(event: Event) -> str:
    """Which form of a kind's sentence fits."""
    data = event.data
    if event.kind == "opened" and not data.get("owner"):
        return "opened_unowned"
    if event.kind == "recurred" and data.get("ticket"):
        return "recurred_as"
    if event.kind == "counted" and not data.get("rules"):
        return "counted_plain"
    if event.kind == "attached" and data.get("as") == "picture":
        return "pictured"
    if event.kind in WITH_TEXT and data.get("text"):
        return f"{event.kind}_text"
    return event.kind
