"""What the edge pulled from the relay: applied once, in order, the cursor in the same transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DataError, IntegrityError

from agent.outbox.queue import revive, settle
from agent.outbox.rows import far, inbox, outbox
from agent.store.facts import get_meta, put_meta

log = logging.getLogger(__name__)
RESENT = "the relay lost its store"
"""Reason of an item that a lost store had taken: it may have been delivered."""
UNREADABLE = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, IntegrityError, DataError)
"""What a payload that makes no sense raises; a failing store is not among them."""

Apply = Callable[[Connection, datetime, Mapping[str, Any]], None]
"""Applies the payload of one reply inside the transaction that marks it applied."""


def cursor(conn: Connection) -> int:
    """The last reply that was applied."""
    return int(get_meta(conn, "reply_cursor") or 0)


def take(conn: Connection, now: datetime, reply: Mapping[str, Any], handlers: Mapping[str, Apply]) -> bool:
    """Apply one reply {seq, uuid, kind, payload}; False if it was applied before or its kind is unknown here."""
    put_meta(conn, "reply_cursor", str(reply["seq"]))
    if conn.execute(select(inbox.c.uuid).where(inbox.c.uuid == reply["uuid"])).first():
        return False
    conn.execute(insert(inbox).values(uuid=reply["uuid"], kind=reply["kind"], applied_at=now))
    handler = handlers.get(reply["kind"])
    if handler is None:
        return False
    try:
        with conn.begin_nested():
            handler(conn, now, reply["payload"])
    except UNREADABLE:
        # the relay stands in the DMZ: what it says must not be able to stop the edge
        log.exception("a reply of kind %s cannot be applied and is passed over", reply["kind"])
        return False
    return True


def take_receipt(conn: Connection, now: datetime, receipt: Mapping[str, Any]) -> None:
    """The relay's delivery receipt {uuid, outcome, reason, far}: settle the item, keep the far ids."""
    row = conn.execute(select(outbox.c.id, outbox.c.state).where(outbox.c.uuid == receipt["uuid"])).first()
    if row is not None:
        if row.state == "dead" and receipt["outcome"] != "dead":
            revive(conn, now, receipt["uuid"])  # at the relay somebody had it sent again, or gave it up
        settle(conn, now, row.id, receipt["outcome"], receipt.get("reason", ""))
    for logical, far_id in receipt.get("far", {}).items():
        remember_far(conn, now, logical, far_id)


def remember_far(conn: Connection, now: datetime, logical: str, far_id: str) -> None:
    """Keep logical id → far id; the newest wins (a card reissued has a new one)."""
    statement = upsert(far).values(logical=logical, far=far_id, at=now)
    conn.execute(statement.on_conflict_do_update(index_elements=["logical"], set_={"far": far_id, "at": now}))


def purge_inbox(conn: Connection, before: datetime, limit: int) -> int:
    """Forget replies applied before a time; the cursor keeps them from coming again."""
    old = select(inbox.c.uuid).where(inbox.c.applied_at < before).limit(limit)
    return conn.execute(inbox.delete().where(inbox.c.uuid.in_(old))).rowcount


def new_relay(conn: Connection, epoch: str) -> bool:
    """Notice that the relay's store is another one than before: send again what it never gave a receipt for.

    Returns True if it is a relay that lost its store (not the first contact); then far ids should be handed to it.
    """
    known = get_meta(conn, "relay_epoch")
    if known == epoch:
        return False
    put_meta(conn, "relay_epoch", epoch)
    start_over(conn)
    return known is not None


def start_over(conn: Connection) -> None:
    """Pull replies from the beginning, and send again what has no receipt."""
    put_meta(conn, "reply_cursor", "0")
    send_again(conn)


def send_again(conn: Connection) -> None:
    """Push once more what has no receipt; it may have been delivered, and the relay is told so."""
    conn.execute(update(outbox).where(outbox.c.state == "sent").values(state="waiting", reason=RESENT))
