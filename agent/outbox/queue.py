"""The outbox queue of both roles: enqueue in the transaction of the fact, claim with a lease, settle with an outcome.

Delivery is at least once; the stored idempotency key makes the effect happen once. Order holds within a lane: only the
first unsettled item of a lane (its head) can be claimed, so a stuck lane holds up nobody else.
Conservation, persisted and checked at every start: accepted = delivered + superseded + dead + expired + shed + waiting.
"""

from __future__ import annotations

import uuid as uuids
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, literal, or_, select, update

from agent.outbox.receipts import add_receipt
from agent.outbox.rows import ACTIVE, outbox
from agent.store.facts import count, counters
from agent.store.metadata import Moment
from agent.store.write import announce

LEASE = timedelta(seconds=60)
_KEYS = uuids.UUID("5f0c9a3e-7d0b-5c53-9f6e-4b1a6f6c2485")
"""The first key follows from the item's uuid: a relay that lost its store makes the same one again."""
AGAIN = "sent again"
"""Reason of a dead item that somebody had sent again."""
SETTLED = ("delivered", "superseded", "dead", "expired", "shed")
RANKS = {"verdict": 0, "ticket": 1, "escalation": 1, "card": 1, "fact": 1, "row": 3, "telemetry": 4}
"""A lane keeps one rank: what belongs to a ticket shares rank 1, so that the story of a ticket stays in order."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to be carried to the other side. `uuid` makes the hand-over idempotent."""

    lane: str
    kind: str
    cls: str
    payload: Mapping[str, Any]
    uuid: str = ""
    fold_key: str | None = None
    schema: int = 1
    not_before_at: datetime | None = None
    edge: str = ""
    tried_at: datetime | None = None
    """When an attempt may have been made before, by a store that is lost: looked up before it is repeated."""


def enqueue(conn: Connection, now: datetime, item: Item) -> str | None:
    """Accept an item; returns its uuid, or None if that uuid was accepted before (then nothing changes).

    A waiting item of the same lane and `fold_key` is superseded: only the newest of several pending updates is sent.
    """
    uuid = item.uuid or uuids.uuid4().hex
    if conn.execute(select(outbox.c.id).where(outbox.c.uuid == uuid)).first():
        return None
    if item.fold_key is not None:
        supersede(conn, now, item.lane, item.fold_key)
    head = conn.execute(select(outbox.c.id).where(_active(item.lane)).limit(1)).first() is None
    conn.execute(
        insert(outbox).values(
            uuid=uuid,
            edge=item.edge,
            lane=item.lane,
            rank=RANKS[item.cls],
            cls=item.cls,
            kind=item.kind,
            schema=item.schema,
            payload=dict(item.payload),
            fold_key=item.fold_key,
            key=uuids.uuid5(_KEYS, uuid).hex,
            state="waiting",
            head=head,
            created_at=now,
            not_before_at=item.not_before_at or now,
            attempts=0 if item.tried_at is None else 1,
            first_tried_at=item.tried_at,
        )
    )
    count(conn, "outbox.accepted")
    announce(conn, "outbox")
    return uuid


def supersede(conn: Connection, now: datetime, lane: str, fold_key: str, reason: str = "newer") -> int:
    """Drop waiting items that a newer one (or an act) made void; counted. Returns how many."""
    rows = conn.execute(
        select(outbox.c.id).where(_active(lane), outbox.c.state == "waiting", outbox.c.fold_key == fold_key)
    ).scalars()
    ids = list(rows)
    for row_id in ids:
        settle(conn, now, row_id, "superseded", reason)
    return len(ids)


def void(conn: Connection, now: datetime, lane: str, fold_key: str, reason: str) -> int:
    """Drop what an act made void, here and at the relay, which may not have sent it yet.

    What waits here may be on its way in this moment, so the relay is asked in any case.
    """
    mine = select(outbox.c.id).where(_active(lane), outbox.c.fold_key == fold_key).limit(1)
    known = conn.execute(mine).first() is not None
    dropped = supersede(conn, now, lane, fold_key, reason)
    if known:
        enqueue(conn, now, Item("void", "void", "verdict", {"lane": lane, "fold_key": fold_key, "reason": reason}))
    return dropped


def take_void(conn: Connection, now: datetime, edge: str, payload: Mapping[str, Any]) -> None:
    """The relay drops what has become void and was not sent; the receipts say so (ingress handler "void")."""
    supersede(conn, now, str(payload["lane"]), str(payload["fold_key"]), str(payload.get("reason", "void")))


def claim(conn: Connection, now: datetime, owner: str, limit: int) -> Sequence[Row[Any]]:
    """Lease up to `limit` lane heads that are due, best rank and oldest first.

    The time of the first attempt is written here, so it is durable before the attempt. An expired lease is claimable.
    """
    ready = or_(
        and_(outbox.c.state == "waiting", outbox.c.not_before_at <= now),
        and_(outbox.c.state == "leased", outbox.c.lease_until_at <= now),
    )
    ids = list(
        conn.execute(
            select(outbox.c.id).where(outbox.c.head, ready).order_by(outbox.c.rank, outbox.c.id).limit(limit)
        ).scalars()
    )
    if not ids:
        return []
    conn.execute(
        update(outbox)
        .where(outbox.c.id.in_(ids))
        .values(
            state="leased",
            lease_owner=owner,
            lease_until_at=now + LEASE,
            attempts=outbox.c.attempts + 1,
            first_tried_at=func.coalesce(outbox.c.first_tried_at, literal(now, Moment)),
        )
    )
    return conn.execute(select(outbox).where(outbox.c.id.in_(ids)).order_by(outbox.c.rank, outbox.c.id)).all()


def release(conn: Connection, row_id: int, not_before_at: datetime, reason: str, *, fresh_key: bool = False) -> None:
    """Give a claimed item back: it waits until `not_before_at`. `fresh_key` after "looked up: it did not happen"."""
    values: dict[str, Any] = {
        "state": "waiting",
        "lease_owner": None,
        "lease_until_at": None,
        "not_before_at": not_before_at,
        "reason": reason[:500],
    }
    if fresh_key:
        values |= {"key": uuids.uuid4().hex, "first_tried_at": None}
    conn.execute(update(outbox).where(outbox.c.id == row_id, outbox.c.state == "leased").values(**values))
    announce(conn, "outbox")


def settle(
    conn: Connection, now: datetime, row_id: int, outcome: str, reason: str = "", far: Mapping[str, str] | None = None
) -> bool:
    """End an item with one of SETTLED; False if it is settled already. The next of its lane becomes the head.

    However an edge's item ends at the relay, the edge gets a receipt in the same transaction, with the far ids learnt.
    """
    assert outcome in SETTLED, outcome
    columns = (outbox.c.uuid, outbox.c.edge, outbox.c.lane, outbox.c.state, outbox.c.head)
    row = conn.execute(select(*columns).where(outbox.c.id == row_id)).first()
    if row is None or row.state not in ACTIVE:
        return False
    values: dict[str, Any] = {"state": outcome, "head": False, "settled_at": now, "reason": reason[:500]}
    if outcome != "dead":
        values["payload"] = None
    conn.execute(update(outbox).where(outbox.c.id == row_id).values(**values))
    count(conn, f"outbox.{outcome}")
    if row.edge:
        add_receipt(conn, now, row.edge, row.uuid, outcome, reason, far or {})
    if row.head:
        promote(conn, row.lane)
    announce(conn, "outbox")
    return True


def promote(conn: Connection, lane: str) -> None:
    """Make the oldest unsettled item of a lane its head."""
    first = conn.execute(select(func.min(outbox.c.id)).where(_active(lane))).scalar_one()
    if first is not None:
        conn.execute(update(outbox).where(outbox.c.id == first).values(head=True))


def revive(conn: Connection, now: datetime, uuid: str) -> bool:
    """Send a dead item again, with a fresh key, at the end of its patience but in its old place. False if not dead."""
    row = conn.execute(select(outbox).where(outbox.c.uuid == uuid, outbox.c.state == "dead")).first()
    if row is None:
        return False
    conn.execute(
        update(outbox)
        .where(outbox.c.id == row.id)
        .values(state="waiting", attempts=0, not_before_at=now, settled_at=None, key=uuids.uuid4().hex,
                first_tried_at=None, reason=AGAIN)
    )  # fmt: skip
    conn.execute(update(outbox).where(_active(row.lane)).values(head=False))
    promote(conn, row.lane)
    count(conn, "outbox.dead", -1)
    announce(conn, "outbox")
    return True


def void_leases(conn: Connection) -> int:
    """At start: one process owns the file, so every lease in it is dead."""
    done = conn.execute(
        update(outbox).where(outbox.c.state == "leased").values(state="waiting", lease_owner=None, lease_until_at=None)
    )
    return done.rowcount


def purge(conn: Connection, before: datetime, limit: int = 1000) -> int:
    """Forget settled items older than `before` (their uuids too: keep ≥ 30 days). The dead stay. In slices."""
    old = select(outbox.c.id).where(
        outbox.c.state.in_(("delivered", "superseded", "expired", "shed")), outbox.c.settled_at < before
    )
    return conn.execute(outbox.delete().where(outbox.c.id.in_(old.limit(limit)))).rowcount


def balance(conn: Connection) -> dict[str, int]:
    """accepted, waiting and each outcome, from the persisted counters; `missing` must be 0 (conservation)."""
    totals = {name.removeprefix("outbox."): value for name, value in counters(conn, "outbox.").items()}
    waiting = conn.execute(select(func.count()).where(outbox.c.state.in_(ACTIVE))).scalar_one()
    result = {name: totals.get(name, 0) for name in ("accepted", *SETTLED)} | {"waiting": waiting}
    result["missing"] = result["accepted"] - waiting - sum(result[name] for name in SETTLED)
    return result


def _active(lane: str) -> Any:
    return and_(outbox.c.lane == lane, outbox.c.state.in_(ACTIVE))
