"""Events appended by the owner, and everything they make the outbox say, in one transaction (ADR 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from agent.outbox.queue import Item, enqueue, void
from agent.plant.people import Directory
from agent.plant.points.latches import acted
from agent.records.tickets.messages import OutMessage, messages, voided
from agent.records.tickets.model import Event, State, Ticket
from agent.records.tickets.rows import ticket
from agent.records.tickets.rules.opening import derived
from agent.records.tickets.store import append, lanes_of


def append_and_tell(
    conn: Connection, now: datetime, edge: str, before: Ticket | None, events: Sequence[Event], who: Directory
) -> Ticket:
    """Append events to a ticket, drop what they make void, say what they mean; the ticket after them."""
    for event in events:
        after = append(conn, edge, before, event)
        if after is None:
            continue
        for fold_key in voided(before, after) if before is not None else ():
            for lane in lanes_of(conn, after.no):
                void(conn, now, lane, fold_key, "void: somebody acted")
        _say(conn, now, before, after, event, who)
        if before is not None and before.state is State.NEW and after.state is not State.NEW:
            acted(conn, after.no)
        before = after
    assert before is not None, "no event"
    return before


def _say(
    conn: Connection, now: datetime, before: Ticket | None, after: Ticket, event: Event, who: Directory
) -> None:  # fmt: skip
    """Everything an event makes the outbox say, the fact itself first. The uuids follow from the event's."""
    enqueue(conn, now, Item(after.no, "fact", "fact", event.as_json(), uuid=event.uuid))
    for index, out in enumerate(messages(before, after, event, who, now)):
        enqueue(conn, now, Item(
            out.lane(after.no), out.kind, out.cls, _with_blobs(out, after),
            uuid=derived(event.uuid, out.kind, index), fold_key=out.fold_key,
        ))  # fmt: skip
        if out.kind in ("post_card", "update_card"):
            values = {"card_sent_at": now, "card_due_at": None}
            conn.execute(update(ticket).where(ticket.c.no == after.no).values(**values))


def _with_blobs(out: OutMessage, shown: Ticket) -> Mapping[str, Any]:
    """The payload, naming the pictures a card shows: the courier brings them to the relay first."""
    pictures = [sha for sha in (*shown.photos, shown.picture) if sha]
    return {**out.payload, "blobs": pictures} if "card_body" in out.payload and pictures else out.payload
