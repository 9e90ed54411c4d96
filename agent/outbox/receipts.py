"""What the relay puts down for an edge to pull: commands, and a receipt for each of its items that is settled."""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from agent.outbox.rows import reply
from agent.store.write import announce


def add_reply(conn: Connection, now: datetime, edge: str, kind: str, payload: Mapping[str, Any]) -> None:
    """Put something down for an edge, in the transaction of its cause."""
    conn.execute(
        insert(reply).values(edge=edge, uuid=uuids.uuid4().hex, kind=kind, payload=dict(payload), created_at=now)
    )
    announce(conn, f"reply:{edge}")


def add_receipt(
    conn: Connection, now: datetime, edge: str, uuid: str, outcome: str, reason: str, far: Mapping[str, str]
) -> None:
    """Tell the edge how its item ended and the far ids it learnt; only then the edge lets go of it."""
    add_reply(conn, now, edge, "receipt", {"uuid": uuid, "outcome": outcome, "reason": reason, "far": dict(far)})
