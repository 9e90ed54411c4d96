"""The latch of a tile: a violation stays shown until somebody acted on its ticket, even when the next point is good."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, select

from agent.model import Text
from agent.plant.rows import latch
from agent.store.metadata import to_us
from agent.store.write import announce

KNOWN = "known"
"""Severity of a violation whose ticket somebody works on."""

# written for every marked point, so as text: SQLAlchemy's expressions cost ten times as much to build
_SET = (
    'INSERT INTO latch (characteristic, rules, severity, at, value, "text", ticket) VALUES (?, ?, ?, ?, ?, ?, ?) '
    "ON CONFLICT (characteristic) DO UPDATE SET rules = excluded.rules, severity = excluded.severity, "
    'at = excluded.at, value = excluded.value, "text" = excluded."text", ticket = excluded.ticket '
    "WHERE latch.severity != 'ticket' OR excluded.severity = 'ticket'"
)
_RELEASE = "DELETE FROM latch WHERE characteristic = ? AND severity IN ('warning', ?)"


def set_latch(
    conn: Connection, characteristic: str, rules: list[str], severity: str, at: datetime, value: float, words: Text,
    ticket: str | None,
) -> Mapping[str, Any] | None:  # fmt: skip
    """Latch a violation: "ticket", "warning", or KNOWN; a ticket nobody acted on is replaced by nothing less.

    What the tile shows from now on; None if that is what it showed before.
    """
    said = orjson.dumps(words).decode()
    row = (characteristic, orjson.dumps(rules).decode(), severity, to_us(at), value, said, ticket)
    if not conn.exec_driver_sql(_SET, row).rowcount:
        return None
    announce(conn, "latch")
    return {"rules": rules, "severity": severity, "at": at.isoformat(), "value": value, "text": words, "ticket": ticket}


def release(conn: Connection, characteristic: str) -> bool:
    """The stream is in order again: a warning, or a violation somebody works on, needs nobody's act.

    False if the tile goes on to show what it showed.
    """
    released = conn.exec_driver_sql(_RELEASE, (characteristic, KNOWN)).rowcount > 0
    if released:
        announce(conn, "latch")
    return released


def acted(conn: Connection, ticket: str) -> None:
    """Somebody acted on the ticket: the lamp goes out, the words stay until the stream is in order."""
    if conn.execute(latch.update().where(latch.c.ticket == ticket).values(severity=KNOWN)).rowcount:
        announce(conn, "latch")


def latches(conn: Connection) -> Mapping[str, Mapping[str, Any]]:
    """Characteristic → the violation as its tile shows it."""
    return {
        row.characteristic: {"rules": row.rules, "severity": row.severity, "at": row.at.isoformat(),
                             "value": row.value, "text": row.text, "ticket": row.ticket}
        for row in conn.execute(select(latch))
    }  # fmt: skip
