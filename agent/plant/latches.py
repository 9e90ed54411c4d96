"""The latch of a tile: a violation stays shown until somebody acted on its ticket, even when the next point is good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from agent.model import Text
from agent.plant.rows import latch
from agent.store.write import announce

KNOWN = "known"
"""Severity of a violation whose ticket somebody works on."""


def set_latch(
    conn: Connection, characteristic: str, rules: list[str], severity: str, at: datetime, value: float, words: Text,
    ticket: str | None,
) -> None:  # fmt: skip
    """Latch a violation: "ticket", "warning", or KNOWN; a ticket nobody acted on is replaced by nothing less."""
    held = conn.execute(select(latch.c.severity).where(latch.c.characteristic == characteristic)).scalar_one_or_none()
    if held == "ticket" and severity != "ticket":
        return
    conn.execute(delete(latch).where(latch.c.characteristic == characteristic))
    conn.execute(insert(latch).values(
        characteristic=characteristic, rules=rules, severity=severity, at=at, value=value, text=words, ticket=ticket
    ))  # fmt: skip
    announce(conn, "latch")


def release(conn: Connection, characteristic: str) -> None:
    """The stream is in order again: a warning, or a violation somebody works on, needs nobody's act."""
    mine = latch.c.characteristic == characteristic
    if conn.execute(delete(latch).where(mine, latch.c.severity.in_(("warning", KNOWN)))).rowcount:
        announce(conn, "latch")


def acted(conn: Connection, ticket: str) -> None:
    """Somebody acted on the ticket: the lamp goes out, the words stay until the stream is in order."""
    if conn.execute(latch.update().where(latch.c.ticket == ticket).values(severity=KNOWN)).rowcount:
        announce(conn, "latch")


def latch_of(conn: Connection, characteristic: str) -> Mapping[str, Any] | None:
    """The violation that the tile of one characteristic shows."""
    return latches(conn, characteristic).get(characteristic)


def latches(conn: Connection, characteristic: str | None = None) -> Mapping[str, Mapping[str, Any]]:
    """Characteristic → the violation as its tile shows it; of all, or of one."""
    query = select(latch) if characteristic is None else select(latch).where(latch.c.characteristic == characteristic)
    return {
        row.characteristic: {"rules": row.rules, "severity": row.severity, "at": row.at.isoformat(),
                             "value": row.value, "text": row.text, "ticket": row.ticket}
        for row in conn.execute(query)
    }  # fmt: skip
