"""Whether an edge's store is the one that is known here, or was lost, or restored from a copy (ADR 12).

An edge numbers its items once and for ever. One that has told number 40 and now says that 30 is its newest, or gives
number 35 to something else, has forgotten: it must take back what it told before it goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, false, func, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from agent.outbox.rows import far
from agent.relay.rows import accepted, edge_seen

Histories = Callable[[Connection, str, str], "tuple[list[list[dict[str, Any]]], str | None]"]
"""The histories of an edge's records after a number, and the number after which to go on (None: that was all)."""


def is_known(conn: Connection, edge: str) -> bool:
    """True if the edge ever introduced itself here."""
    return conn.execute(select(edge_seen.c.edge).where(edge_seen.c.edge == edge)).first() is not None


def known(conn: Connection, edge: str, store_epoch: str, last_seq: int) -> str:
    """new, same, forked (restored, and not noticed by the edge itself) or other (lost, or restored from a backup)."""
    before = conn.execute(select(edge_seen.c.store_epoch).where(edge_seen.c.edge == edge)).scalar_one_or_none()
    if before is None:
        return "new"
    if before != store_epoch:
        return "other"
    newest = conn.execute(
        select(func.max(accepted.c.seq)).where(accepted.c.edge == edge, accepted.c.store_epoch == store_epoch)
    ).scalar()
    return "forked" if (newest or 0) > last_seq else "same"


def forked(conn: Connection, edge: str, store_epoch: str, items: Sequence[Mapping[str, Any]]) -> bool:
    """True if the number of one of these items was given to another one before."""
    given = {item["lane_seq"]: item.get("uuid") for item in items if isinstance(item.get("lane_seq"), int)}
    taken = conn.execute(
        select(accepted.c.seq, accepted.c.uuid).where(
            accepted.c.edge == edge, accepted.c.store_epoch == store_epoch, accepted.c.seq.in_(given)
        )
    )
    return any(given[row.seq] != row.uuid for row in taken)


def page(conn: Connection, histories: Histories, edge: str, after: str) -> dict[str, Any]:
    """A page for an edge that takes back: histories, the far ids that belong to them, and where to go on."""
    told, following = histories(conn, edge, after)
    names = [f"{kind}:{events[0]['ticket']}" for events in told for kind in ("group", "card")]
    theirs = or_(false(), *(far.c.logical.startswith(name, autoescape=True) for name in names))
    rows = conn.execute(select(far.c.logical, far.c.far).where(theirs))
    return {"histories": told, "far": {row.logical: row.far for row in rows}, "after": following}


def introduce(conn: Connection, now: datetime, edge: str, store_epoch: str) -> None:
    """Take this store for the edge's. A new one pulls the replies from the beginning: none of them is forgotten yet."""
    statement = upsert(edge_seen).values(edge=edge, store_epoch=store_epoch, first_at=now, cursor=0)
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["edge"],
            set_={"store_epoch": store_epoch, "cursor": 0},
            where=edge_seen.c.store_epoch != store_epoch,
        )
    )
