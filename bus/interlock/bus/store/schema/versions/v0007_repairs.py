"""What people did about dead messages; a dropped or replaced one stays `dead` in the inbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "repair",
        sa.Column("number", NUMBER, sa.Identity(), primary_key=True),
        sa.Column("seq", NUMBER, sa.ForeignKey("inbox.seq", ondelete="CASCADE"), nullable=False),
        sa.Column("key", TEXT),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("at", NUMBER, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("replacement_id", TEXT, unique=True),
        sa.CheckConstraint("action IN ('retry', 'drop', 'edit')", name="repair_action"),
        sa.CheckConstraint("(action = 'edit') = (replacement_id IS NOT NULL)", name="repair_replacement"),
        sa.UniqueConstraint("seq", "key"),
        sqlite_strict=True,
    )
    op.create_index("repair_of", "repair", ["seq"])
    ends = sa.text("action IN ('drop', 'edit')")
    op.create_index("repair_end", "repair", ["seq"], unique=True, sqlite_where=ends, postgresql_where=ends)
