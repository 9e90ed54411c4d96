"""What the relay has for its edges: receipts and commands, pulled by cursor; and the clicks that wait for a verdict."""

from __future__ import annotations

import asyncio
import uuid as uuids
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from agent.relay.rows import accepted, reply
from agent.store.write import announce


def add_reply(conn: Connection, now: datetime, edge: str, kind: str, payload: Mapping[str, Any]) -> None:
    """Put something down for an edge, in the transaction of its cause."""
    conn.execute(
        insert(reply).values(edge=edge, uuid=uuids.uuid4().hex, kind=kind, payload=dict(payload), created_at=now)
    )
    announce(conn, f"reply:{edge}")


def pending(conn: Connection, edge: str, cursor: int, limit: int = 200) -> list[dict[str, Any]]:
    """Replies after the cursor, oldest first."""
    rows = conn.execute(
        select(reply).where(reply.c.edge == edge, reply.c.seq > cursor).order_by(reply.c.seq).limit(limit)
    )
    return [{"seq": r.seq, "uuid": r.uuid, "kind": r.kind, "payload": r.payload} for r in rows]


def purge_replies(conn: Connection, before: datetime, limit: int) -> int:
    """Forget what was put down before a time and pulled long ago."""
    old = select(reply.c.seq).where(reply.c.created_at < before).limit(limit)
    return conn.execute(delete(reply).where(reply.c.seq.in_(old))).rowcount


def purge_accepted(conn: Connection, before: datetime, limit: int) -> int:
    """Forget ids of items taken before a time (an edge keeps none that old)."""
    old = select(accepted.c.uuid).where(accepted.c.at < before).limit(limit)
    return conn.execute(delete(accepted).where(accepted.c.uuid.in_(old))).rowcount


class Edges:
    """Which edges are there, and an event per edge that a new reply sets. Lives on the relay's loop."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._events: dict[str, asyncio.Event] = {}

    def seen(self, edge: str, monotonic: float) -> None:
        """The edge has just asked or pushed."""
        self._seen[edge] = monotonic

    def silent_s(self, edge: str, monotonic: float) -> float:
        """Seconds since the edge was last heard; infinity if never."""
        return monotonic - self._seen.get(edge, float("-inf"))

    def all(self) -> Mapping[str, float]:
        """Edge → monotonic time it was last heard."""
        return self._seen

    def event(self, edge: str) -> asyncio.Event:
        """A fresh event that the next reply for this edge sets."""
        event = self._events.get(edge)
        if event is None or event.is_set():
            event = self._events[edge] = asyncio.Event()
        return event

    def wake(self, topics: frozenset[str]) -> None:
        """Wake the long polls of the edges named in the topics of a commit."""
        for topic in topics:
            if topic.startswith("reply:") and (event := self._events.get(topic.removeprefix("reply:"))):
                event.set()
