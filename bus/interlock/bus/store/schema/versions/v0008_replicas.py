"""Which of an agent's replicas publishes what the outbox holds, and until when if it falls silent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns to the only row of `owner`."""
    op.add_column("owner", sa.Column("leader", sa.Text()))
    op.add_column("owner", sa.Column("led_until", sa.BigInteger().with_variant(sa.Integer(), "sqlite")))
