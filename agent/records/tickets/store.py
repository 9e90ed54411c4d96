"""Tickets in the store: events appended, the folded state beside them for queries. Both roles use it.

The owner (an edge) appends and says it to the outbox (service.py); the relay appends what it was told (facts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, update

from agent.model import Actor
from agent.outbox.rows import ACTIVE, outbox
from agent.records.tickets.model import OVER, Event, State, Ticket
from agent.records.tickets.rows import occurrence, ticket, ticket_event, ticket_key
from agent.records.tickets.rules.fold import fold
from agent.records.tickets.rules.timers import next_timer
from agent.store.write import announce


def get(conn: Connection, no: str) -> Ticket | None:
    """A ticket by its number, occurrences counted up to now."""
    row = conn.execute(select(ticket).where(ticket.c.no == no)).first()
    return None if row is None else _of(row)


def edge_of(conn: Connection, no: str) -> str | None:
    """The edge that owns a ticket, None if the number is unknown."""
    return conn.execute(select(ticket.c.edge).where(ticket.c.no == no)).scalar_one_or_none()


def _of(row: Row[Any]) -> Ticket:
    found = Ticket.from_json(row.data)
    return replace(found, occurrences=max(found.occurrences, row.occurrences))


def append(conn: Connection, edge: str, before: Ticket | None, event: Event) -> Ticket | None:
    """Append one event and fold it; returns the ticket after it, or None if this event is there already."""
    if not _keep(conn, event):
        return None
    after = fold(before, event)
    _put(conn, edge, before, after, owner=True)
    return after


def learn(conn: Connection, edge: str, event: Event) -> None:
    """Take an event that the owner of the ticket made. They may come in any order (after a store was lost they do):
    the ticket is folded from all that is known without a gap."""
    if not _keep(conn, event):
        return
    before = get(conn, event.ticket)
    if before is not None and event.seq == before.seq + 1:
        _put(conn, edge, before, fold(before, event))
        return
    after: Ticket | None = None
    for known in history(conn, event.ticket):
        if known.seq != (after.seq if after else 0) + 1:
            break
        after = fold(after, known)
    if after is not None:
        _put(conn, edge, before, after)


def _keep(conn: Connection, event: Event) -> bool:
    if conn.execute(select(ticket_event.c.uuid).where(ticket_event.c.uuid == event.uuid)).first():
        return False
    conn.execute(insert(ticket_event).values(
        uuid=event.uuid, ticket=event.ticket, seq=event.seq, cycle=event.cycle, at=event.at, kind=event.kind,
        actor=event.actor.as_json(), source=event.source, data=dict(event.data),
    ))  # fmt: skip
    return True


def _put(conn: Connection, edge: str, before: Ticket | None, after: Ticket, *, owner: bool = False) -> None:
    """Write the folded state. The owner keeps at most one open ticket per key; others believe what they learn."""
    if before is None:
        conn.execute(insert(ticket).values(no=after.no, edge=edge, **_columns(after)))
        if owner and after.dedup_key is not None:
            conn.execute(insert(ticket_key).values(ticket=after.no, key=after.dedup_key, open=after.state not in OVER))
    else:
        conn.execute(update(ticket).where(ticket.c.no == after.no).values(**_columns(after)))
        if (before.state in OVER) != (after.state in OVER):
            conn.execute(update(ticket_key).where(ticket_key.c.ticket == after.no).values(open=after.state not in OVER))
    announce(conn, f"ticket:{after.no}")


def put_back(conn: Connection, rewound: Ticket) -> None:
    """Write the folded state of an earlier moment; what was counted stays counted."""
    before = get(conn, rewound.no)
    assert before is not None, rewound.no
    _put(conn, "", before, replace(rewound, occurrences=max(rewound.occurrences, before.occurrences)))


def _columns(t: Ticket) -> dict[str, Any]:
    return {
        "state": t.state.value, "cycle": t.cycle, "seq": t.seq, "severity": t.severity, "category": t.category,
        "line": t.line, "station": t.station, "characteristic": t.characteristic, "owner": t.owner,
        "reporter": t.reporter, "dedup_key": t.dedup_key, "raised_at": t.raised_at, "closed_at": t.closed_at,
        "next_timer_at": next_timer(t), "occurrences": t.occurrences, "data": t.as_json(),
    }  # fmt: skip


def listing(
    conn: Connection, *, state: str = "open", station: str | None = None, limit: int = 50, after: str | None = None
) -> tuple[list[Ticket], str | None]:
    """Tickets, newest first, and the cursor of the next page (None: that was all). `state` is "open" or "all".

    Those of a station include those of the whole line, which are of no station.
    """
    query = select(ticket).order_by(ticket.c.raised_at.desc(), ticket.c.no.desc()).limit(limit + 1)
    if state == "open":
        query = query.where(ticket.c.state.not_in([s.value for s in OVER]))
    if station is not None:
        query = query.where(or_(ticket.c.station == station, ticket.c.station.is_(None)))
    if after is not None:
        mark = select(ticket.c.raised_at).where(ticket.c.no == after).scalar_subquery()
        query = query.where(or_(ticket.c.raised_at < mark, and_(ticket.c.raised_at == mark, ticket.c.no < after)))
    rows = conn.execute(query).all()
    page = [_of(row) for row in rows[:limit]]
    return page, page[-1].no if len(rows) > limit else None


def history(conn: Connection, no: str) -> list[Event]:
    """All events of a ticket, in order."""
    rows = conn.execute(select(ticket_event).where(ticket_event.c.ticket == no).order_by(ticket_event.c.seq))
    return [event_of(row) for row in rows]


def told_by(conn: Connection, edge: str, after: str, limit: int = 100) -> tuple[list[list[dict[str, Any]]], str | None]:
    """The histories of an edge's tickets with a number above `after`, and the number after which to go on."""
    numbers = conn.execute(
        select(ticket.c.no).where(ticket.c.edge == edge, ticket.c.no > after).order_by(ticket.c.no).limit(limit)
    ).scalars().all()  # fmt: skip
    told = [[event.as_json() for event in history(conn, no)] for no in numbers]
    return told, numbers[-1] if len(numbers) == limit else None


def event_of(row: Row[Any]) -> Event:
    """An Event from its row."""
    return Event(row.uuid, row.ticket, row.cycle, row.seq, row.at, Actor.from_json(row.actor), row.source, row.kind,
                 row.data)  # fmt: skip


def occurrences(conn: Connection, no: str, limit: int = 25) -> list[dict[str, Any]]:
    """The newest occurrences of a ticket, newest first."""
    rows = conn.execute(
        select(occurrence).where(occurrence.c.ticket == no).order_by(occurrence.c.at.desc()).limit(limit)
    )
    return [{"event_id": r.event_id, "at": r.at.isoformat(), "rules": r.rules, **r.data} for r in rows]


def open_by_key(conn: Connection, key: str) -> Ticket | None:
    """The one open ticket of a dedup key."""
    row = conn.execute(
        select(ticket)
        .join(ticket_key, ticket_key.c.ticket == ticket.c.no)
        .where(ticket_key.c.key == key, ticket_key.c.open)
    ).first()
    return None if row is None else _of(row)


def last_closed_by_key(conn: Connection, key: str) -> Ticket | None:
    """The ticket of a key that was closed last (cancelled ones bind nothing)."""
    row = conn.execute(
        select(ticket)
        .where(ticket.c.dedup_key == key, ticket.c.state == State.CLOSED.value)
        .order_by(ticket.c.closed_at.desc())
        .limit(1)
    ).first()
    return None if row is None else _of(row)


def of_ticket(no: str) -> ColumnElement[bool]:
    """The outbox items of a ticket: its own lane NO, and its direct messages' lanes NO:PERSON (ranges of the index)."""
    return or_(outbox.c.lane == no, and_(outbox.c.lane > f"{no}:", outbox.c.lane < f"{no};"))


def lanes_of(conn: Connection, no: str) -> Sequence[str]:
    """The lanes in which something of a ticket is not settled yet."""
    return conn.execute(
        select(outbox.c.lane).distinct().where(of_ticket(no), outbox.c.state.in_(ACTIVE))
    ).scalars().all()  # fmt: skip


def outbox_of(conn: Connection, no: str) -> Mapping[str, int]:
    """How many messages of a ticket wait, were delivered, or are dead."""
    rows = conn.execute(select(outbox.c.state, func.count()).where(of_ticket(no)).group_by(outbox.c.state))
    counts: dict[str, int] = {state: n for state, n in rows}  # noqa: C416  (rows are no pairs to mypy)
    return {
        "waiting": sum(counts.get(state, 0) for state in ACTIVE),
        "delivered": counts.get("delivered", 0),
        "dead": counts.get("dead", 0),
    }


def open_by_state(conn: Connection) -> Sequence[tuple[str, int]]:
    """How many tickets stand in each state."""
    return [(state, n) for state, n in conn.execute(select(ticket.c.state, func.count()).group_by(ticket.c.state))]
