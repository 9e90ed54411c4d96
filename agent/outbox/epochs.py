"""The identity of an edge's store, and what follows when it is not the one that the relay knows.

A store that was restored from a copy, or lost, has forgotten what it told. It begins a new epoch and takes its own
records back from the relay before it says anything (ADR 12). How far it has come is kept, for a crash in between.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from agent.outbox.inbox import send_again
from agent.store.facts import epoch, get_meta, new_epoch, put_meta

_PLACE = "take_back"


def identity(conn: Connection) -> tuple[str, int]:
    """Epoch of this store, and the newest item it ever put down, also if that is forgotten by now."""
    last = conn.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'")).scalar()
    return epoch(conn), last or 0


def forget_place(conn: Connection) -> None:
    """Everything was taken back."""
    put_meta(conn, _PLACE, None)


def place(conn: Connection) -> str | None:
    """The record after which the taking back goes on; None if there is nothing to take back."""
    return get_meta(conn, _PLACE)


def put_place(conn: Connection, after: str) -> None:
    """Go on after this record."""
    put_meta(conn, _PLACE, after)


def begin_take_back(conn: Connection, *, forked: bool) -> None:
    """Take everything back from the beginning; of a forked store the epoch is a new one, for its numbers are used."""
    if forked:
        new_epoch(conn)
    send_again(conn)
    put_place(conn, "")
