"""A ticket that the relay knows and this store does not, or knows further: taken back, told again, and gone on with.

Telling again is harmless: the uuids of messages follow from the events', and the relay knows those it has taken; what
it has not taken, because the store was lost between the fact and its messages, is sent now.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from agent.model import SYSTEM
from agent.outbox.rows import ACTIVE, outbox
from agent.plant.people import Directory
from agent.plant.rows import latch, request
from agent.plant.settings import SiteSettings
from agent.records.tickets.model import OVER, Event, Ticket
from agent.records.tickets.rows import occurrence, ticket, ticket_event, ticket_key
from agent.records.tickets.rules.fold import fold
from agent.records.tickets.store import get, history, learn, open_by_key, put_back
from agent.records.tickets.writing.numbers import next_number
from agent.records.tickets.writing.telling import append_and_tell
from agent.store import audit

log = logging.getLogger(__name__)
_REMEMBERED = timedelta(days=29)
"""The relay keeps the ids of what it has taken for 30 days at least; older things are not told again."""


def take_back(conn: Connection, now: datetime, site: SiteSettings, told: Sequence[Event], who: Directory) -> None:
    """Bring a ticket to where the relay knows it; what was done here since the copy was made comes after that."""
    no = told[0].ticket
    mine = history(conn, no)
    if mine and mine[0].uuid != told[0].uuid:  # made here before the relay was heard: another ticket altogether
        _renumber(conn, now, site, no)
        mine = []
    common = 0
    while common < min(len(mine), len(told)) and mine[common].uuid == told[common].uuid:
        common += 1
    missing = told[common:]
    if not missing:
        return
    known = {event.uuid for event in told}
    later = [event for event in mine[common:] if event.uuid not in known]
    before = _rewind(conn, no, mine[:common]) if mine else None
    newer = _free_key(conn, told)
    if told[-1].at > now - _REMEMBERED:
        after = append_and_tell(conn, now, site.edge, before, missing, who)
    else:
        after = _learn(conn, site.edge, missing)
    for event in later:
        moved = replace(event, seq=after.seq + 1)
        fact = (outbox.c.uuid == event.uuid, outbox.c.state.in_(ACTIVE))
        conn.execute(update(outbox).where(*fact).values(payload=moved.as_json()))
        after = append_and_tell(conn, now, site.edge, after, [moved], who)
    if newer is not None and after.state in OVER:
        conn.execute(update(ticket_key).where(ticket_key.c.ticket == newer).values(open=True))


def _learn(conn: Connection, edge: str, events: Sequence[Event]) -> Ticket:
    for event in events:
        learn(conn, edge, event)
    found = get(conn, events[0].ticket)
    assert found is not None
    if found.dedup_key is not None:
        here = select(ticket_key.c.ticket).where(ticket_key.c.ticket == found.no)
        if conn.execute(here).first() is None:
            values = {"ticket": found.no, "key": found.dedup_key, "open": found.state not in OVER}
            conn.execute(insert(ticket_key).values(**values))
    return found


def _rewind(conn: Connection, no: str, events: Sequence[Event]) -> Ticket:
    """The ticket as it was after `events`, with what came later taken out of its history."""
    conn.execute(delete(ticket_event).where(ticket_event.c.ticket == no, ticket_event.c.seq > events[-1].seq))
    after: Ticket | None = None
    for event in events:
        after = fold(after, event)
    assert after is not None
    put_back(conn, after)
    return after


def _free_key(conn: Connection, told: Sequence[Event]) -> str | None:
    """The same problem was raised here again meanwhile: while the older ticket is open, it is the one that counts.

    Returns the number of the newer one, which goes on without the key.
    """
    key = told[0].data.get("dedup_key")
    newer = open_by_key(conn, key) if key else None
    if newer is None or newer.no == told[0].ticket:
        return None
    log.warning("%s and %s are the same problem: found while taking back", told[0].ticket, newer.no)
    conn.execute(update(ticket_key).where(ticket_key.c.ticket == newer.no).values(open=False))
    return newer.no


def _renumber(conn: Connection, now: datetime, site: SiteSettings, old: str) -> None:
    """Give a ticket that nobody outside has heard of another number: its old one was used before the store was lost."""
    new = next_number(conn, now, site)
    log.warning("%s was used before this store was lost: the ticket made since is %s now", old, new)
    for table in (ticket_key, ticket_event, occurrence, latch):
        conn.execute(update(table).where(table.c.ticket == old).values(ticket=new))
    pattern = re.compile(rf"{re.escape(old)}(?!\d)")

    def renamed(value: object) -> object:
        return orjson.loads(pattern.sub(new, orjson.dumps(value).decode()))

    data = conn.execute(select(ticket.c.data).where(ticket.c.no == old)).scalar_one()
    conn.execute(update(ticket).where(ticket.c.no == old).values(no=new, data=renamed(data)))
    waiting = outbox.c.lane.startswith(old, autoescape=True), outbox.c.state.in_(ACTIVE)
    for row in conn.execute(select(outbox).where(*waiting)).all():
        if pattern.search(row.lane) is None:
            continue
        fold_key = pattern.sub(new, row.fold_key) if row.fold_key else None
        values = {"lane": pattern.sub(new, row.lane), "fold_key": fold_key, "payload": renamed(row.payload)}
        conn.execute(update(outbox).where(outbox.c.id == row.id).values(**values))
    for row in conn.execute(select(request.c.key, request.c.body).where(request.c.at > now - _REMEMBERED)).all():
        if pattern.search(orjson.dumps(row.body).decode()):
            conn.execute(update(request).where(request.c.key == row.key).values(body=renamed(row.body)))
    audit.record(conn, now, SYSTEM, "ticket_renumbered", {"from": old, "to": new})
