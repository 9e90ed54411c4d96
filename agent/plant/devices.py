"""Devices: every kiosk and every program that writes has a token of its own, kept only as a hash, revoked at once."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agent.errors import Refused
from agent.plant.rows import device


def add_device(conn: Connection, now: datetime, device_id: str, kind: str, name: str, station: str | None) -> str:
    """Enrol a device; returns its token, which is shown once and kept nowhere. Refused if the id is taken."""
    if conn.execute(select(device.c.id).where(device.c.id == device_id, device.c.revoked_at.is_(None))).first():
        raise Refused("device.taken", id=device_id)
    conn.execute(device.delete().where(device.c.id == device_id))
    token = secrets.token_urlsafe(32)
    conn.execute(insert(device).values(
        id=device_id, kind=kind, name=name, station=station, token_hash=_hash(token), created_at=now
    ))  # fmt: skip
    return token


def revoke_device(conn: Connection, now: datetime, device_id: str) -> bool:
    """Make a token worthless from this commit on. False if there is no such device."""
    done = conn.execute(
        update(device).where(device.c.id == device_id, device.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    return done.rowcount == 1


def device_of(conn: Connection, token: str) -> Row[Any] | None:
    """The device a token belongs to, None if unknown or revoked."""
    return conn.execute(
        select(device).where(device.c.token_hash == _hash(token), device.c.revoked_at.is_(None))
    ).first()


def touch(conn: Connection, now: datetime, row: Row[Any]) -> None:
    """Note that a device was heard, at most once a minute."""
    if row.seen_at is None or now - row.seen_at > timedelta(minutes=1):
        conn.execute(update(device).where(device.c.id == row.id).values(seen_at=now))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
