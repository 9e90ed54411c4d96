"""Ticket numbers, SITE-EDGE-YYMMDD-NNN: made here, without asking anybody, never twice."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.plant.settings import SiteSettings
from agent.records.tickets.rows import ticket_number
from agent.store.facts import restored

GAP = 500
"""A store restored from a copy does not know how far the day had come: it begins this far ahead until it was told."""


def next_number(conn: Connection, now: datetime, site: SiteSettings) -> str:
    """The next number of the day (in the site's time zone)."""
    day = now.astimezone(site.zone).strftime("%y%m%d")
    last = _last(conn, day)
    if last < GAP and restored(conn):
        last += GAP
    _put(conn, day, last + 1)
    return f"{site.id}-{site.edge}-{day}-{last + 1:03d}"


def reserve(conn: Connection, no: str) -> None:
    """A number that was given before: the next one is above it."""
    *_, day, n = no.split("-")
    if int(n) > _last(conn, day):
        _put(conn, day, int(n))


def _last(conn: Connection, day: str) -> int:
    found = conn.execute(select(ticket_number.c.last).where(ticket_number.c.day == day)).scalar_one_or_none()
    return found or 0


def _put(conn: Connection, day: str, last: int) -> None:
    statement = upsert(ticket_number).values(day=day, last=last)
    conn.execute(statement.on_conflict_do_update(index_elements=["day"], set_={"last": last}))
