"""What the relay has for its edges: receipts and commands, pulled by cursor; and the clicks that wait for a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, text

from agent.outbox.receipts import add_receipt, add_reply
from agent.outbox.rows import ACTIVE, outbox
from agent.relay.rows import accepted, command, edge_seen, reply

__all__ = ["Edges", "add_reply", "pending", "purge_accepted", "purge_replies", "tell_again"]


def pending(conn: Connection, edge: str, cursor: int, limit: int = 200) -> list[dict[str, Any]]:
    """Replies after the cursor, oldest first."""
    rows = conn.execute(
        select(reply).where(reply.c.edge == edge, reply.c.seq > cursor).order_by(reply.c.seq).limit(limit)
    )
    return [{"seq": r.seq, "uuid": r.uuid, "kind": r.kind, "payload": r.payload} for r in rows]


def last_seq(conn: Connection) -> int:
    """The newest reply that was ever put down, also if it is forgotten by now."""
    return conn.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'reply'")).scalar() or 0


def purge_replies(conn: Connection, before: datetime, limit: int) -> int:
    """Forget what was put down before a time and was taken by its edge, however long that was away."""
    taken = select(edge_seen.c.cursor).where(edge_seen.c.edge == reply.c.edge).scalar_subquery()
    old = select(reply.c.seq).where(reply.c.created_at < before, reply.c.seq <= taken).limit(limit)
    return conn.execute(delete(reply).where(reply.c.seq.in_(old))).rowcount


def purge_commands(conn: Connection, before: datetime, limit: int) -> int:
    """Forget clicks that were answered long ago."""
    old = select(command.c.uuid).where(command.c.received_at < before, command.c.verdict.is_not(None)).limit(limit)
    return conn.execute(delete(command).where(command.c.uuid.in_(old))).rowcount


def purge_accepted(conn: Connection, before: datetime, limit: int) -> int:
    """Forget ids of items taken before a time (an edge keeps none that old)."""
    old = select(accepted.c.uuid).where(accepted.c.at < before).limit(limit)
    return conn.execute(delete(accepted).where(accepted.c.uuid.in_(old))).rowcount


def tell_again(conn: Connection, now: datetime, edge: str, uuid: str) -> None:
    """How an item ended that is pushed again: an edge restored from a copy may have passed its receipt by."""
    row = conn.execute(select(outbox.c.state, outbox.c.reason).where(outbox.c.uuid == uuid)).first()
    if row is None:  # taken, and so long ago that only its id is kept
        add_receipt(conn, now, edge, uuid, "delivered", "", {})
    elif row.state not in ACTIVE:
        add_receipt(conn, now, edge, uuid, row.state, row.reason, {})


class Edges:
    """Which edges are there, and an event per edge that a new reply sets. Lives on the relay's loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._seen: dict[str, float] = {}
        self._events: dict[str, asyncio.Event] = {}

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Silence is told by the loop's time: it is about this process and its sockets, not about the plant."""
        self._loop = loop

    def seen(self, edge: str) -> None:
        """The edge has just asked or pushed."""
        self._seen[edge] = self._loop.time()

    def silent_s(self, edge: str) -> float:
        """Seconds since the edge was last heard; infinity if never. From any thread."""
        return self._loop.time() - self._seen.get(edge, float("-inf"))

    def known(self) -> Sequence[str]:
        """Every edge that was heard since the start."""
        return list(self._seen)

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
