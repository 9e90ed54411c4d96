"""Tables of what the plant is: people, devices, limits, and the points its characteristics gave."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, Table, Text, UniqueConstraint

from agent.store.metadata import Json, Moment, Serial, metadata

person = Table(
    "person",
    metadata,
    Column("id", Text, primary_key=True, comment="employee number"),
    Column("name", Text, nullable=False),
    Column("leader", Text),
    Column("department", Text),
    Column("roles", Json, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("email", Text),
    Column("mobile", Text),
    Column("open_id", Text),
    Column("user_id", Text),
)

department = Table(
    "department",
    metadata,
    Column("id", Text, primary_key=True),
    Column("head", Text),
)

device = Table(
    "device",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False, comment="kiosk or api"),
    Column("name", Text, nullable=False),
    Column("station", Text),
    Column("token_hash", Text, nullable=False, unique=True, comment="sha256 of a 256-bit random token"),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("seen_at", Moment),
)

request = Table(
    "request",
    metadata,
    Column("key", Text, primary_key=True, comment="device and Idempotency-Key"),
    Column("fingerprint", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Json, nullable=False),
    Column("at", Moment, nullable=False),
    Index("ix_request_at", "at"),
)

limit_version = Table(
    "limit_version",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("characteristic", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("chart", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("center", Float, nullable=False),
    Column("sigma", Float, nullable=False),
    Column("method", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("effective_from", Moment, nullable=False),
    UniqueConstraint("characteristic", "version"),
    comment="immutable",
)

stream = Table(
    "stream",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("characteristic", Text, nullable=False),
    Column("name", Text, nullable=False, comment="stream within the characteristic, usually empty"),
    Column("seq", Integer, nullable=False, comment="points charted so far"),
    Column("open", Json, nullable=False, comment="values of the unfinished subgroup"),
    Column("reset_seq", Integer, nullable=False, comment="first point after the last reset of run state"),
    Column("limit_version", Integer, nullable=False),
    Column("episode", Text, comment="when the running episode of violations began"),
    Column("clean", Integer, nullable=False, comment="points in order since the last violation"),
    UniqueConstraint("characteristic", "name"),
)

point = Table(
    "point",
    metadata,
    Column("stream", Integer, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("y", Float, nullable=False),
    Column("dispersion", Float),
    Column("n", Integer, nullable=False),
    Column("values", Json),
    Column("rules", Json, comment="all rules broken at this point, null if none"),
    Column("mark", Text, comment="ticket, warning or null"),
    Column("limit_version", Integer, nullable=False),
    Index("ix_point_at", "at"),
    sqlite_with_rowid=False,
)

sample_seen = Table(
    "sample_seen",
    metadata,
    Column("stream", Integer, primary_key=True),
    Column("identity", Text, primary_key=True, comment="device's event id, else its source time"),
    Column("at", Moment, nullable=False),
    Index("ix_sample_seen_at", "at"),
    sqlite_with_rowid=False,
)

journal = Table(
    "journal",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("stream", Integer, nullable=False),
    Column("identity", Text, comment="as in sample_seen; null: nothing to know it by"),
    Column("received_at", Moment, nullable=False),
    Column("seq", Integer, comment="null: the sample waits in an open subgroup"),
    Column("at", Moment),
    Column("y", Float),
    Column("dispersion", Float),
    Column("n", Integer),
    Column("values", Json),
    Column("rules", Json),
    Column("mark", Text),
    Column("limit_version", Integer),
    comment="samples as they came; folded in bulk into point and sample_seen (plant/points/journal.py)",
)

latch = Table(
    "latch",
    metadata,
    Column("characteristic", Text, primary_key=True),
    Column("rules", Json, nullable=False),
    Column("severity", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("value", Float, nullable=False),
    Column("text", Json, nullable=False),
    Column("ticket", Text),
    comment="the violation a tile shows until somebody acted on it",
)
