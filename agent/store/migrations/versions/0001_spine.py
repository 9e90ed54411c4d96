"""The spine: outbox, link, tickets, plant."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "accepted",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("uuid"),
        comment="items taken from edges, so that a second push of one is a no-op",
    )
    op.create_index("ix_accepted_at", "accepted", ["at"], unique=False)
    op.create_table(
        "audit",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("prev", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        comment="append-only; each row's hash covers the one before",
    )
    op.create_table(
        "command",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False, comment="the far side's: a repeated push is the same click"),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("verdict_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "told_at",
            sa.BigInteger(),
            nullable=True,
            comment="when the person was told; a later refusal goes as a direct message",
        ),
        sa.PrimaryKeyConstraint("uuid"),
        sa.UniqueConstraint("event_id", name=op.f("uq_command_event_id")),
    )
    op.create_table(
        "counter",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        comment="persisted totals; conservation is checked against them at every start",
    )
    op.create_table(
        "department",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("head", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="kiosk or api"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=True),
        sa.Column("token_hash", sa.Text(), nullable=False, comment="sha256 of a 256-bit random token"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash", name=op.f("uq_device_token_hash")),
    )
    op.create_table(
        "edge_seen",
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("store_epoch", sa.Text(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False, comment="last reply it has taken"),
        sa.PrimaryKeyConstraint("edge"),
    )
    op.create_table(
        "far",
        sa.Column("logical", sa.Text(), nullable=False),
        sa.Column("far", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("logical"),
        comment="logical id ↔ far id; opaque at the edge, which keeps it for a relay that lost its disk",
    )
    op.create_index("ix_far_far", "far", ["far"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("uuid"),
        comment="what was pulled from the relay and applied, so that a repeat is a no-op",
    )
    op.create_table(
        "latch",
        sa.Column("characteristic", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("characteristic"),
        comment="the violation a tile shows until somebody acted on it",
    )
    op.create_table(
        "limit_version",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("characteristic", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("chart", sa.Text(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("center", sa.Float(), nullable=False),
        sa.Column("sigma", sa.Float(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("effective_from", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("characteristic", "version", name=op.f("uq_limit_version_characteristic_version")),
        comment="immutable",
    )
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        comment="facts about this store: role, epoch, cursors",
    )
    op.create_table(
        "occurrence",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id"),
        comment="every violation, none dropped; the event id makes a replay a no-op",
    )
    op.create_index("ix_occurrence_ticket_at", "occurrence", ["ticket", "at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False, comment="edge the item comes from"),
        sa.Column("lane", sa.Text(), nullable=False, comment="record id: order holds within a lane"),
        sa.Column("rank", sa.Integer(), nullable=False, comment="lower goes first; the same for all items of a lane"),
        sa.Column("cls", sa.Text(), nullable=False, comment="ticket, escalation, card, fact, telemetry"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("schema", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=True, comment="dropped once settled, except when dead"),
        sa.Column(
            "fold_key",
            sa.Text(),
            nullable=True,
            comment="a newer item of the same lane and key supersedes a waiting one",
        ),
        sa.Column("key", sa.Text(), nullable=False, comment="the far side's idempotency key, made once"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("head", sa.Boolean(), nullable=False, comment="first unsettled item of its lane"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("not_before_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "first_tried_at", sa.BigInteger(), nullable=True, comment="first attempt with this key, durable before it"
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until_at", sa.BigInteger(), nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("uuid", name=op.f("uq_outbox_uuid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_head", "outbox", ["rank", "id"], unique=False, sqlite_where=sa.text("head = 1"))
    op.create_index("ix_outbox_lane", "outbox", ["lane", "state", "id"], unique=False)
    op.create_index("ix_outbox_state", "outbox", ["state", "settled_at"], unique=False)
    op.create_index(
        "ix_outbox_waiting", "outbox", ["rank", "id"], unique=False, sqlite_where=sa.text("state = 'waiting'")
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Text(), nullable=False, comment="employee number"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("leader", sa.Text(), nullable=True),
        sa.Column("department", sa.Text(), nullable=True),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("mobile", sa.Text(), nullable=True),
        sa.Column("open_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "point",
        sa.Column("stream", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("y", sa.Float(), nullable=False),
        sa.Column("dispersion", sa.Float(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("values", sa.Text(), nullable=True),
        sa.Column("rules", sa.Text(), nullable=True, comment="all rules broken at this point, null if none"),
        sa.Column("mark", sa.Text(), nullable=True, comment="ticket, warning or null"),
        sa.Column("limit_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_point_at", "point", ["at"], unique=False)
    op.create_table(
        "reply",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        sa.Column("edge", sa.Text(), nullable=False),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="receipt, command"),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("uuid", name=op.f("uq_reply_uuid")),
        comment="for edges to pull by cursor; allocated in commit order",
        sqlite_autoincrement=True,
    )
    op.create_index("ix_reply_edge_seq", "reply", ["edge", "seq"], unique=False)
    op.create_table(
        "request",
        sa.Column("key", sa.Text(), nullable=False, comment="device and Idempotency-Key"),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_request_at", "request", ["at"], unique=False)
    op.create_table(
        "sample_seen",
        sa.Column("stream", sa.Integer(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False, comment="device's event id, else its source time"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stream", "identity"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sample_seen_at", "sample_seen", ["at"], unique=False)
    op.create_table(
        "stream",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("characteristic", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="stream within the characteristic, usually empty"),
        sa.Column("seq", sa.Integer(), nullable=False, comment="points charted so far"),
        sa.Column("open", sa.Text(), nullable=False, comment="values of the unfinished subgroup"),
        sa.Column("reset_seq", sa.Integer(), nullable=False, comment="first point after the last reset of run state"),
        sa.Column("limit_version", sa.Integer(), nullable=False),
        sa.Column("episode", sa.Text(), nullable=True, comment="when the running episode of violations began"),
        sa.Column("clean", sa.Integer(), nullable=False, comment="points in order since the last violation"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("characteristic", "name", name=op.f("uq_stream_characteristic_name")),
    )
    op.create_table(
        "ticket",
        sa.Column("no", sa.Text(), nullable=False),
        sa.Column("edge", sa.Text(), nullable=False, comment="the owner"),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False, comment="events folded so far"),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("line", sa.Text(), nullable=True),
        sa.Column("station", sa.Text(), nullable=True),
        sa.Column("characteristic", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("reporter", sa.Text(), nullable=True),
        sa.Column("dedup_key", sa.Text(), nullable=True),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("next_timer_at", sa.BigInteger(), nullable=True),
        sa.Column("occurrences", sa.Integer(), nullable=False),
        sa.Column(
            "card_due_at", sa.BigInteger(), nullable=True, comment="when the counter on the card is to be refreshed"
        ),
        sa.Column("card_sent_at", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False, comment="the folded ticket (model.Ticket)"),
        sa.PrimaryKeyConstraint("no"),
    )
    op.create_index(
        "ix_ticket_card_due", "ticket", ["card_due_at"], unique=False, sqlite_where=sa.text("card_due_at IS NOT NULL")
    )
    op.create_index("ix_ticket_dedup_key", "ticket", ["dedup_key", "raised_at"], unique=False)
    op.create_index("ix_ticket_state_raised_at", "ticket", ["state", "raised_at"], unique=False)
    op.create_index(
        "ix_ticket_timer", "ticket", ["next_timer_at"], unique=False, sqlite_where=sa.text("next_timer_at IS NOT NULL")
    )
    op.create_table(
        "ticket_event",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False, comment="in the order in which they were learnt"),
        sa.Column("uuid", sa.Text(), nullable=False),
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ticket", "seq", name=op.f("uq_ticket_event_ticket_seq")),
        sa.UniqueConstraint("uuid", name=op.f("uq_ticket_event_uuid")),
        comment="append-only",
    )
    op.create_table(
        "ticket_key",
        sa.Column("ticket", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("ticket", "key"),
        comment="one open ticket per dedup key; a merged ticket may hold several",
    )
    op.create_index(
        "uq_ticket_key_open",
        "ticket_key",
        ["key"],
        unique=True,
        sqlite_where=sa.text("open"),
        postgresql_where=sa.text("open"),
    )
    op.create_table(
        "ticket_number",
        sa.Column("day", sa.Text(), nullable=False, comment="YYMMDD in the site's time zone"),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("day"),
    )
