"""Tables of the relay's side of the link: what it has for the edges, and the clicks it took."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from agent.outbox.rows import reply
from agent.store.metadata import Json, Moment, metadata

__all__ = ["accepted", "command", "edge_seen", "reply"]

accepted = Table(
    "accepted",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("edge", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("store_epoch", Text, comment="store of the edge it came from"),
    Column("seq", BigInteger, comment="its number in that store"),
    Index("ix_accepted_at", "at"),
    Index("ix_accepted_seq", "edge", "store_epoch", "seq"),
    comment="items taken from edges, so that a second push of one is a no-op",
)

command = Table(
    "command",
    metadata,
    Column("uuid", Text, primary_key=True),
    Column("event_id", Text, nullable=False, unique=True, comment="the far side's: a repeated push is the same click"),
    Column("edge", Text, nullable=False),
    Column("payload", Json, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("verdict", Json),
    Column("verdict_at", Moment),
    Column("told_at", Moment, comment="when the person was told; a later refusal goes as a direct message"),
)

edge_seen = Table(
    "edge_seen",
    metadata,
    Column("edge", Text, primary_key=True),
    Column("store_epoch", Text, nullable=False),
    Column("first_at", Moment, nullable=False),
    Column("cursor", BigInteger, nullable=False, comment="last reply it has taken"),
)
