"""The audit log: append-only, each row's hash covers the row before, so that a change of the past shows."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from agent.model import Actor
from agent.store.metadata import audit, to_us


def record(conn: Connection, at: datetime, actor: Actor, action: str, data: dict[str, Any]) -> None:
    """Append a line in the transaction of the act it records."""
    prev = conn.execute(select(audit.c.hash).order_by(audit.c.id.desc()).limit(1)).scalar_one_or_none() or ""
    row = {"at": at, "actor": actor.as_json(), "action": action, "data": data, "prev": prev}
    conn.execute(insert(audit).values(**row, hash=_digest(to_us(at), actor.as_json(), action, data, prev)))


def broken_at(conn: Connection) -> int | None:
    """The id of the first line that does not fit the chain, None if all fit."""
    prev = ""
    for row in conn.execute(select(audit).order_by(audit.c.id)):
        if row.prev != prev or row.hash != _digest(to_us(row.at), row.actor, row.action, row.data, prev):
            return int(row.id)
        prev = row.hash
    return None


def _digest(at_us: int, actor: dict[str, Any], action: str, data: dict[str, Any], prev: str) -> str:
    body = orjson.dumps([at_us, actor, action, data, prev], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).hexdigest()
