"""The latch of a tile: a violation stays shown until somebody acted on its ticket, even when the next point is good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from agent.model import Text
from agent.plant.rows import latch
from agent.store.write import announce


def set_latch(
    conn: Connection, characteristic: str, rules: list[str], severity: str, at: datetime, value: float, words: Text,
    ticket: str | None,
) -> None:  # fmt: skip
    """Latch a violation; a ticket's is never replaced by a mere warning."""
    known = conn.execute(select(latch.c.severity).where(latch.c.characteristic == characteristic)).scalar_one_or_none()
    if known == "ticket" and severity == "warning":
        return
    conn.execute(delete(latch).where(latch.c.characteristic == characteristic))
    conn.execute(insert(latch).values(
        characteristic=characteristic, rules=rules, severity=severity, at=at, value=value, text=words, ticket=ticket
    ))  # fmt: skip
    announce(conn, "latch")


def release_warning(conn: Connection, characteristic: str) -> None:
    """The stream is in order again: a warning needs nobody's act."""
    done = conn.execute(delete(latch).where(latch.c.characteristic == characteristic, latch.c.severity == "warning"))
    if done.rowcount:
        announce(conn, "latch")


def release_ticket(conn: Connection, ticket: str) -> None:
    """Somebody acted on the ticket."""
    if conn.execute(delete(latch).where(latch.c.ticket == ticket)).rowcount:
        announce(conn, "latch")


def latches(conn: Connection) -> Mapping[str, Mapping[str, Any]]:
    """Characteristic → the violation as its tile shows it."""
    return {
        row.characteristic: {"rules": row.rules, "severity": row.severity, "at": row.at.isoformat(),
                             "value": row.value, "text": row.text, "ticket": row.ticket}
        for row in conn.execute(select(latch))
    }  # fmt: skip
