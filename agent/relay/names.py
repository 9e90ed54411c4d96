"""Logical id ↔ far id in the relay's store; what sinks ask while they deliver (outbox.sink.Names)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from agent.clock import Clock
from agent.outbox.inbox import remember_far
from agent.outbox.rows import far
from agent.store.write import Store


class StoreNames:
    """Names over the store; called from the sinks' threads."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        person: Callable[[Connection, str], Mapping[str, Any] | None],
        blob: Callable[[str], Path | None],
    ) -> None:
        self._store, self._clock, self._person, self._blob = store, clock, person, blob

    def far(self, logical: str) -> str | None:
        with self._store.read() as conn:
            return conn.execute(select(far.c.far).where(far.c.logical == logical)).scalar_one_or_none()

    def logical(self, far_id: str, prefix: str) -> str | None:
        """The logical id behind a far id, e.g. ("ou_…", "person:") → "person:104417"."""
        with self._store.read() as conn:
            return conn.execute(
                select(far.c.logical).where(far.c.far == far_id, far.c.logical.startswith(prefix, autoescape=True))
            ).scalars().first()  # fmt: skip

    def remember(self, logical: str, far_id: str) -> None:
        now = self._clock.now()
        self._store.submit(lambda conn: remember_far(conn, now, logical, far_id)).result(timeout=10)

    def person(self, person: str) -> Mapping[str, Any] | None:
        with self._store.read() as conn:
            return self._person(conn, person)

    def blob(self, sha: str) -> Path | None:
        return self._blob(sha)


def adopt(conn: Connection, now: datetime, edge: str, payload: Mapping[str, Any]) -> None:
    """An edge hands back the far ids it kept, after this relay lost its store. What is known here stays."""
    for logical, far_id in payload["far"].items():
        if conn.execute(select(far.c.far).where(far.c.logical == logical)).first() is None:
            remember_far(conn, now, logical, far_id)
