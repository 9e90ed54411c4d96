"""Tables of the outbox (both roles), and of the replies that the relay puts down and the edge takes."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, text

from agent.store.metadata import Json, Moment, Serial, metadata

ACTIVE = ("waiting", "leased", "sent")
"""States that are not settled. `sent`: the relay stored it, its delivery receipt is still to come (edge only)."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("uuid", Text, nullable=False, unique=True),
    Column("edge", Text, nullable=False, comment="edge the item comes from"),
    Column("lane", Text, nullable=False, comment="record id: order holds within a lane"),
    Column("rank", Integer, nullable=False, comment="lower goes first; the same for all items of a lane"),
    Column("cls", Text, nullable=False, comment="ticket, escalation, card, fact, telemetry"),
    Column("kind", Text, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("payload", Json, comment="dropped once settled, except when dead"),
    Column("fold_key", Text, comment="a newer item of the same lane and key supersedes a waiting one"),
    Column("key", Text, nullable=False, comment="the far side's idempotency key, made once"),
    Column("state", Text, nullable=False),
    Column("head", Boolean, nullable=False, comment="first unsettled item of its lane"),
    Column("created_at", Moment, nullable=False),
    Column("not_before_at", Moment, nullable=False),
    Column("first_tried_at", Moment, comment="first attempt with this key, durable before it"),
    Column("attempts", Integer, nullable=False),
    Column("lease_owner", Text),
    Column("lease_until_at", Moment),
    Column("settled_at", Moment),
    Column("reason", Text, nullable=False, server_default=""),
    Index("ix_outbox_head", "rank", "id", sqlite_where=text("head = 1")),
    Index("ix_outbox_lane", "lane", "state", "id"),
    Index("ix_outbox_waiting", "rank", "id", sqlite_where=text("state = 'waiting'")),
    Index("ix_outbox_state", "state", "settled_at"),
    sqlite_autoincrement=True,
)

reply = Table(
    "reply",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("edge", Text, nullable=False),
    Column("uuid", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False, comment="receipt, command"),
    Column("payload", Json, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("ix_reply_edge_seq", "edge", "seq"),
    sqlite_autoincrement=True,
    comment="for edges to pull by cursor; allocated in commit order",
)

inbox = Table(
    "inbox",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("applied_at", Moment, nullable=False),
    Column("result", Json),
    comment="what was pulled from the relay and applied, so that a repeat is a no-op",
)

far = Table(
    "far",
    metadata,
    Column("logical", Text, primary_key=True),
    Column("far", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_far_far", "far"),
    comment="logical id ↔ far id; opaque at the edge, which keeps it for a relay that lost its disk",
)
