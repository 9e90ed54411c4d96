"""Small facts of the store: meta values and persisted counters."""

from __future__ import annotations

import uuid

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects.sqlite import insert

from agent.store.metadata import counter, meta


def get_meta(conn: Connection, key: str) -> str | None:
    """A meta value, None if it was never set."""
    return conn.execute(select(meta.c.value).where(meta.c.key == key)).scalar_one_or_none()


def put_meta(conn: Connection, key: str, value: str | None) -> None:
    """Set a meta value; None removes it."""
    if value is None:
        conn.execute(delete(meta).where(meta.c.key == key))
        return
    statement = insert(meta).values(key=key, value=value)
    conn.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))


def epoch(conn: Connection) -> str:
    """The identity of this store file, made once: the other side notices a lost or restored disk by it."""
    return get_meta(conn, "epoch") or new_epoch(conn)


def new_epoch(conn: Connection) -> str:
    """Begin a new identity: this file is not the one that the other side knows."""
    made = uuid.uuid4().hex
    put_meta(conn, "epoch", made)
    return made


def mark_copy(conn: Connection) -> None:
    """Mark a backup: whoever opens it begins a new epoch and knows that there may be a later past than its own."""
    put_meta(conn, "epoch", None)
    put_meta(conn, "restored", "1")


def restored(conn: Connection) -> bool:
    """True from the opening of a copy until what it may have missed was taken back."""
    return get_meta(conn, "restored") is not None


def caught_up(conn: Connection) -> None:
    """What a restored store may have missed is there now."""
    put_meta(conn, "restored", None)


def count(conn: Connection, name: str, by: int = 1) -> None:
    """Add to a persisted counter."""
    if by:
        conn.execute(
            text(
                "INSERT INTO counter(name, value) VALUES (:n, :b) "
                "ON CONFLICT(name) DO UPDATE SET value = counter.value + :b"
            ),
            {"n": name, "b": by},
        )


def counters(conn: Connection, prefix: str = "") -> dict[str, int]:
    """All counters whose name begins with `prefix`."""
    rows = conn.execute(
        select(counter.c.name, counter.c.value).where(counter.c.name.startswith(prefix, autoescape=True))
    )
    return {name: value for name, value in rows}  # noqa: C416  (rows are no pairs to mypy)
