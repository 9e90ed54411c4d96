"""Deleting what the plant's tables hold beyond its age, in slices."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Table, and_, delete, select, tuple_

from agent.plant.rows import point, request, sample_seen


def purge_points(conn: Connection, before: datetime, limit: int) -> int:
    """Charted points older than `before`."""
    return _purge(conn, point, before, limit)


def purge_seen(conn: Connection, before: datetime, limit: int) -> int:
    """Identities of samples: a repeated delivery comes within the broker's session, not after a month."""
    return _purge(conn, sample_seen, before, limit)


def purge_requests(conn: Connection, before: datetime, limit: int) -> int:
    """Answers kept for repeated requests."""
    return _purge(conn, request, before, limit)


def _purge(conn: Connection, table: Table, before: datetime, limit: int) -> int:
    keys = list(table.primary_key.columns)
    old = select(*keys).where(table.c.at < before).limit(limit)
    wanted = keys[0].in_(old) if len(keys) == 1 else and_(tuple_(*keys).in_(old))
    return conn.execute(delete(table).where(wanted)).rowcount
