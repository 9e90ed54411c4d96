"""Tables of tickets: the folded state for queries, the append-only history it is folded from, the occurrences."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from agent.store.metadata import Json, Moment, Serial, metadata

ticket = Table(
    "ticket",
    metadata,
    Column("no", Text, primary_key=True),
    Column("edge", Text, nullable=False, comment="the owner"),
    Column("state", Text, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("seq", Integer, nullable=False, comment="events folded so far"),
    Column("severity", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("line", Text),
    Column("station", Text),
    Column("characteristic", Text),
    Column("owner", Text),
    Column("reporter", Text),
    Column("dedup_key", Text),
    Column("raised_at", Moment, nullable=False),
    Column("closed_at", Moment),
    Column("next_timer_at", Moment),
    Column("occurrences", Integer, nullable=False),
    Column("card_due_at", Moment, comment="when the counter on the card is to be refreshed"),
    Column("card_sent_at", Moment),
    Column("data", Json, nullable=False, comment="the folded ticket (model.Ticket)"),
    Index("ix_ticket_state_raised_at", "state", "raised_at"),
    Index("ix_ticket_dedup_key", "dedup_key", "raised_at"),
    Index("ix_ticket_timer", "next_timer_at", sqlite_where=text("next_timer_at IS NOT NULL")),
    Index("ix_ticket_card_due", "card_due_at", sqlite_where=text("card_due_at IS NOT NULL")),
)

ticket_key = Table(
    "ticket_key",
    metadata,
    Column("ticket", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("open", Boolean, nullable=False),
    Index("uq_ticket_key_open", "key", unique=True, sqlite_where=text("open"), postgresql_where=text("open")),
    comment="one open ticket per dedup key; a merged ticket may hold several",
)

ticket_event = Table(
    "ticket_event",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True, comment="in the order in which they were learnt"),
    Column("uuid", Text, nullable=False, unique=True),
    Column("ticket", Text, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Json, nullable=False),
    Column("source", Text, nullable=False),
    Column("data", Json, nullable=False),
    UniqueConstraint("ticket", "seq"),
    comment="append-only",
)

occurrence = Table(
    "occurrence",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("ticket", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("rules", Json, nullable=False),
    Column("data", Json, nullable=False),
    Index("ix_occurrence_ticket_at", "ticket", "at"),
    comment="every violation, none dropped; the event id makes a replay a no-op",
)

ticket_number = Table(
    "ticket_number",
    metadata,
    Column("day", Text, primary_key=True, comment="YYMMDD in the site's time zone"),
    Column("last", Integer, nullable=False),
)
