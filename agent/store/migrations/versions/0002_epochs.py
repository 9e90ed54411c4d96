"""Which item of an edge's store each accepted one was: a store that numbers anew was restored from a copy."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("accepted", sa.Column("store_epoch", sa.Text(), nullable=True))
    op.add_column("accepted", sa.Column("seq", sa.BigInteger(), nullable=True))
    op.create_index("ix_accepted_seq", "accepted", ["edge", "store_epoch", "seq"], unique=False)
