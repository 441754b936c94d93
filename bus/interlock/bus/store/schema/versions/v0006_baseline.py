"""Everything that a store held before Alembic: ownership, inbox, outbox, workflows, approvals, effects, audit trail.

Times are integer microseconds since 1970 in UTC.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT = sa.Text()
BYTES = sa.LargeBinary()

HEAD = """
CREATE VIEW inbox_head AS SELECT * FROM inbox AS head
WHERE head.state = 'ready'
    AND NOT EXISTS (
        SELECT 1 FROM inbox AS leased
        WHERE leased.conversation_id = head.conversation_id AND leased.state = 'leased')
    AND NOT EXISTS (
        SELECT 1 FROM inbox AS earlier
        WHERE earlier.conversation_id = head.conversation_id AND earlier.state IN ('ready', 'leased')
            AND earlier.seq < head.seq)
"""


def upgrade() -> None:
    """Make the tables."""
    _ownership()
    _inbox()
    _outbox()
    _workflows()
    _approvals_and_effects()
    _audit()


def _ownership() -> None:
    # One row. `fence` is the last fencing token that was given out.
    op.create_table(
        "owner",
        sa.Column("agent", TEXT, primary_key=True),
        _needed("epoch", NUMBER),
        _needed("fence", NUMBER),
        _needed("opened_at", NUMBER),
        sqlite_strict=True,
    )


def _inbox() -> None:
    # A number is not given again after its row was pruned.
    op.create_table(
        "inbox",
        _counted("seq"),
        _needed("message_id", TEXT, unique=True),
        _needed("sender", TEXT),
        _needed("type", TEXT),
        _needed("conversation_id", TEXT),
        _needed("body", BYTES),
        _needed("body_hash", BYTES),
        sa.Column("reply_to", TEXT),
        _needed("received_at", NUMBER),
        _needed("state", TEXT, server_default=sa.text("'ready'")),
        _needed("attempts", NUMBER, server_default=sa.text("0")),
        sa.Column("not_before", NUMBER),
        _needed("fence", NUMBER, server_default=sa.text("0")),
        sa.Column("lease_until", NUMBER),
        sa.Column("ended_at", NUMBER),
        sa.CheckConstraint("state IN ('ready', 'leased', 'done', 'dead')", name="inbox_state"),
        sa.CheckConstraint("(state = 'leased') = (lease_until IS NOT NULL)", name="inbox_leased"),
        sa.CheckConstraint("(state IN ('done', 'dead')) = (ended_at IS NOT NULL)", name="inbox_ended"),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    _index("inbox_ready", "inbox", ["seq"], where="state = 'ready'")
    _index("inbox_open", "inbox", ["conversation_id", "seq"], where="state IN ('ready', 'leased')")
    _index("inbox_leased", "inbox", ["conversation_id"], where="state = 'leased'")
    _index("inbox_lease_end", "inbox", ["lease_until"], where="state = 'leased'")
    _index("inbox_waiting", "inbox", ["not_before"], where="state = 'ready' AND not_before IS NOT NULL")
    _index("inbox_dead", "inbox", ["seq"], where="state = 'dead'")
    _index("inbox_done", "inbox", ["ended_at"], where="state = 'done'")
    # The first open message of each conversation in which none is being worked on, due or not.
    op.execute(HEAD)
    op.create_table(
        "failure",
        _counted("number"),
        _needed("seq", NUMBER, sa.ForeignKey("inbox.seq", ondelete="CASCADE")),
        _needed("at", NUMBER),
        _needed("error", TEXT),
        sqlite_strict=True,
    )
    _index("failure_of", "failure", ["seq"])
    # Keys of de-duplication that outlive their pruned inbox rows.
    op.create_table(
        "seen",
        sa.Column("message_id", TEXT, primary_key=True),
        _needed("body_hash", BYTES),
        _needed("day", NUMBER),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rejection",
        sa.Column("body_hash", TEXT, primary_key=True),
        sa.Column("code", TEXT, primary_key=True),
        _needed("reason", TEXT),
        _needed("times", NUMBER),
        _needed("first_at", NUMBER),
        _needed("last_at", NUMBER),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        _counted("seq"),
        _needed("message_id", TEXT, unique=True),
        _needed("receiver", TEXT),
        _needed("type", TEXT),
        _needed("conversation_id", TEXT),
        _needed("body", BYTES),
        _needed("created_at", NUMBER),
        sa.Column("causation_id", TEXT),
        sa.Column("reply_to", TEXT),
        sa.Column("traceparent", TEXT),
        _needed("state", TEXT, server_default=sa.text("'unsent'")),
        _needed("attempts", NUMBER, server_default=sa.text("0")),
        sa.Column("not_before", NUMBER),
        sa.Column("error", TEXT),
        sa.Column("ended_at", NUMBER),
        sa.CheckConstraint("state IN ('unsent', 'sent', 'abandoned')", name="outbox_state"),
        sa.CheckConstraint("(state = 'unsent') = (ended_at IS NULL)", name="outbox_ended"),
        sqlite_strict=True,
        sqlite_autoincrement=True,
    )
    waiting = "state = 'unsent' AND not_before IS NOT NULL"
    _index("outbox_unsent", "outbox", ["seq"], where="state = 'unsent'")
    _index("outbox_waiting", "outbox", ["not_before"], where=waiting)
    _index("outbox_held", "outbox", ["conversation_id", "receiver", "seq"], where=waiting)
    _index("outbox_sent", "outbox", ["ended_at"], where="state = 'sent'")


def _workflows() -> None:
    op.create_table(
        "workflow",
        sa.Column("id", TEXT, primary_key=True),
        _needed("kind", TEXT),
        _needed("version", NUMBER),
        _needed("status", TEXT),
        _needed("ended", NUMBER),
        _needed("state", BYTES),
        _needed("updated_at", NUMBER),
        sa.CheckConstraint("version >= 1", name="workflow_version"),
        sa.CheckConstraint("ended IN (0, 1)", name="workflow_ended"),
        sqlite_strict=True,
    )
    _index("workflow_open", "workflow", ["status"], where="ended = 0")
    op.create_table(
        "timer",
        sa.Column("conversation_id", TEXT, primary_key=True),
        sa.Column("name", TEXT, primary_key=True),
        _needed("due_at", NUMBER),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    _index("timer_due", "timer", ["due_at"])


def _approvals_and_effects() -> None:
    op.create_table(
        "approval",
        sa.Column("id", TEXT, primary_key=True),
        _needed("conversation_id", TEXT),
        _needed("subject", TEXT),
        _needed("digest", TEXT),
        _needed("environment", TEXT),
        _needed("author", TEXT),
        _needed("summary", TEXT),
        _needed("state", TEXT),
        _needed("requested_at", NUMBER),
        _needed("expires_at", NUMBER),
        sa.Column("approver", TEXT),
        sa.Column("decided_at", NUMBER),
        sa.Column("reason", TEXT),
        sa.CheckConstraint("state IN ('open', 'granted', 'used', 'denied', 'void')", name="approval_state"),
        sqlite_strict=True,
    )
    _index("approval_of", "approval", ["conversation_id"])
    pending = "state IN ('open', 'granted')"
    _index("approval_pending", "approval", ["conversation_id", "subject", "digest"], where=pending, unique=True)
    _trigger(
        "approval_terminal",
        "UPDATE ON approval",
        when="OLD.state IN ('used', 'denied', 'void')",
        refusal="a decided approval does not change",
    )
    op.create_table(
        "effect",
        sa.Column("key", TEXT, primary_key=True),
        _needed("request_hash", TEXT),
        _needed("state", TEXT),
        _needed("epoch", NUMBER),
        _needed("fence", NUMBER),
        sa.Column("result", TEXT),
        _needed("started_at", NUMBER),
        sa.Column("settled_at", NUMBER),
        sa.CheckConstraint("state IN ('started', 'done', 'failed', 'unknown')", name="effect_state"),
        sqlite_strict=True,
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=False),
        _needed("at", NUMBER),
        _needed("conversation_id", TEXT),
        _needed("actor", TEXT),
        _needed("action", TEXT),
        _needed("details", TEXT),
        _needed("previous_hash", TEXT, unique=True),
        _needed("hash", TEXT),
        sqlite_strict=True,
    )
    _index("audit_of", "audit", ["conversation_id"])
    refusal = "the audit trail is only appended to"
    _trigger("audit_kept", "DELETE ON audit", refusal=refusal)
    _trigger("audit_unchanged", "UPDATE ON audit", refusal=refusal)


def _needed(name: str, kind: sa.types.TypeEngine[Any], *rest: sa.ForeignKey, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *rest, nullable=False, **options)


def _counted(name: str) -> sa.Column[int]:
    return sa.Column(name, NUMBER, sa.Identity(), primary_key=True)


def _index(name: str, table: str, columns: list[str], *, where: str | None = None, unique: bool = False) -> None:
    # The predicate stands verbatim in the statements that are to use the index.
    options: dict[str, Any] = {}
    if where is not None:
        options = {"sqlite_where": sa.text(where), "postgresql_where": sa.text(where)}
    op.create_index(name, table, columns, unique=unique, **options)


def _trigger(name: str, event: str, *, refusal: str, when: str | None = None) -> None:
    condition = "" if when is None else f" WHEN ({when})"
    if op.get_context().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER {name} BEFORE {event}{condition} BEGIN SELECT RAISE(ABORT, '{refusal}'); END")
        return
    body = f"BEGIN RAISE EXCEPTION '{refusal}'; END"
    op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    op.execute(f"CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW{condition} EXECUTE FUNCTION {name}()")
