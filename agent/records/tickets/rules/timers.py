"""What time does to a ticket: reminders, breaches, escalations, and the end of the linger time.

The sweeper calls `timers` when `next_timer` is past, after the inputs of that moment. Breaches and the end of lingering
carry their own due time, however late they are noticed; a person is told now. Every uuid follows from ticket, cycle,
kind and clock, so a repeated sweep gives the same events.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.deadlines.deadline import breaches, remind_at, reminders
from agent.model import SYSTEM
from agent.plant.people import Directory
from agent.records.tickets.model import WORKING, Event, State, Ticket
from agent.records.tickets.rules.fold import fold
from agent.records.tickets.rules.opening import derived

ENDS: Mapping[State, str] = {State.VERIFIED: "closed", State.CANCELLED: "left"}
"""What the end of the linger time makes of a ticket: archived, or only its group left."""


def timers(ticket: Ticket, now: datetime, directory: Directory) -> list[Event]:
    """All that is due by `now` and has not happened: the events, in order. The policy is the one in the ticket.

    A breach noticed after the act was done (late) is recorded and escalates to nobody: there is nothing to speed up.
    """
    made = _Made(ticket)
    for deadline in breaches(ticket.deadlines, now):
        made.add("breached", deadline.due_at, {"clock": deadline.kind, "due_at": deadline.due_at.isoformat()})
    if ticket.policy.escalate and ticket.state in WORKING:
        for deadline in breaches(ticket.deadlines, now):
            if deadline.running:
                to, reason = directory.superior(ticket.owner)
                made.add("escalated", now, {"clock": deadline.kind, "level": 1, "to": to, "reason": reason})
    if ticket.state in WORKING:
        for deadline in reminders(ticket.deadlines, now, ticket.policy.remind_at):
            if deadline.kind not in ticket.reminded:
                to = ticket.owner or directory.superior(None)[0]
                made.add("reminded", now, {"clock": deadline.kind, "to": to, "due_at": deadline.due_at.isoformat()})
    end = ENDS.get(ticket.state)
    if end is not None and ticket.linger_until is not None and ticket.linger_until <= now:
        made.add(end, ticket.linger_until, {})
    return made.events


def next_timer(ticket: Ticket) -> datetime | None:
    """When the sweeper must look at this ticket again (it may be past); None if never."""
    moments = [d.due_at for d in ticket.deadlines if d.unrecorded]
    if ticket.state in WORKING:
        waiting = (d for d in ticket.deadlines if d.running and d.breached_at is None)
        moments += [
            at
            for d in waiting
            if d.kind not in ticket.reminded and (at := remind_at(d, ticket.policy.remind_at)) < d.due_at
        ]
    if ticket.linger_until is not None and ticket.state in ENDS:
        moments.append(ticket.linger_until)
    return min(moments, default=None)


class _Made:
    """Numbers timer events one after the other."""

    def __init__(self, ticket: Ticket) -> None:
        self.ticket = ticket
        self.events: list[Event] = []

    def add(self, kind: str, at: datetime, data: dict[str, Any]) -> None:
        ticket = self.ticket
        uuid = derived(ticket.no, ticket.cycle, kind, data.get("clock", ""), data.get("level", ""))
        event = Event(uuid, ticket.no, ticket.cycle, ticket.seq + 1, at, SYSTEM, "timer", kind, data)
        self.ticket = fold(ticket, event)
        self.events.append(event)
