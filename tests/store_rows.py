"""Rows for tests of the store, with everything filled in that a test does not care about."""

from __future__ import annotations

__all__ = ["START", "approval", "claim_one", "incoming", "outgoing", "workflow"]

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from interlock.bus.store.port import Store
from interlock.bus.store.records import (
    ApprovalRow,
    ApprovalState,
    Claim,
    InboxMessage,
    OutboxMessage,
    WorkflowRow,
)

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""Where virtual clocks start."""


def incoming(message_id: str, *, conversation: str = "proj-140", body: bytes = b"{}") -> InboxMessage:
    """Return a message as the inbox takes it in."""
    return InboxMessage(message_id, "devops-agent", "infrastructure_ready", conversation, body, START)


def outgoing(
    message_id: str, *, to: str = "backend-agent", conversation: str = "proj-140", body: bytes = b"{}"
) -> OutboxMessage:
    """Return a message as the outbox keeps it."""
    return OutboxMessage(message_id, to, "infrastructure_ready", conversation, body, START)


def workflow(version: int, *, id: str = "proj-140", status: str = "planned", ended: bool = False) -> WorkflowRow:  # noqa: A002
    """Return a workflow's stored state."""
    return WorkflowRow(id, "change", version, status, ended, b"{}", START + timedelta(seconds=version))


def approval(id: str = "a1", *, state: ApprovalState = ApprovalState.OPEN, digest: str = "sha256:aa") -> ApprovalRow:  # noqa: A002
    """Return a gate for a plan; decided when its state says so."""
    row = ApprovalRow(
        id=id,
        conversation_id="proj-140",
        subject="plan",
        digest=digest,
        environment="production",
        author="dana",
        summary="1 to create",
        state=state,
        requested_at=START,
        expires_at=START + timedelta(minutes=30),
    )
    return row if state is ApprovalState.OPEN else replace(row, approver="kim", decided_at=START)


async def claim_one(store: Store) -> Claim:
    """Claim exactly one message for 30 seconds."""
    (claim,) = await store.claim(limit=1, lease=30.0)
    return claim
