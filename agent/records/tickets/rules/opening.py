"""How a ticket begins, and what a beginning promises."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from agent.deadlines.deadline import plan
from agent.deadlines.policy import Policy
from agent.errors import Refused
from agent.model import Actor, text
from agent.records.tickets.model import SEVERITIES, Event, Opening, encode

NAMESPACE = UUID("6f0b1d0e-8c0f-5d0a-9a51-2b7f6f1c2485")
TEXT_MAX = 2000
"""Characters of one text that a person may give."""


def derived(*parts: object) -> str:
    """A uuid that follows from `parts`: the same cause gives the same event, so a replay is harmless."""
    return str(uuid5(NAMESPACE, ":".join(str(part) for part in parts)))


def reopening(at: datetime, policy: Policy) -> dict[str, Any]:
    """What a cycle that begins `at` is promised: its policy and its due times, frozen."""
    return {"policy": policy.as_json(), "deadlines": [d.as_json() for d in plan(at, policy)]}


def open_ticket(no: str, opening: Opening, actor: Actor, now: datetime, event_uuid: str, policy: Policy) -> Event:
    """The event that opens a ticket, raised at `now`. Anyone and anything may raise, machine tokens too.

    Raises Refused for an unknown severity, no category, or words that are too long.
    """
    if opening.severity not in SEVERITIES:
        raise Refused("tickets.refused.missing", no=no, field=text("tickets.field.severity"))
    if not opening.category.strip():
        raise Refused("tickets.refused.missing", no=no, field=text("tickets.field.category"))
    title = opening.title if isinstance(opening.title, str) else ""
    for name, value in (("title", title), ("description", opening.description)):
        if len(value) > TEXT_MAX:
            raise Refused("tickets.refused.too_long", no=no, field=text(f"tickets.field.{name}"), max=TEXT_MAX)
    return Event(event_uuid, no, 1, 1, now, actor, opening.channel, "opened", encode(opening) | reopening(now, policy))
