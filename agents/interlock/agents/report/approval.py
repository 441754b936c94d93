"""Approvals as the report shows them: what was asked, what people decided, and which decisions did not count."""

from __future__ import annotations

__all__ = ["Approval", "Refusal", "refusals"]

from collections.abc import Iterable
from typing import Any

from interlock.bus.store.records import ApprovalRow, ApprovalState, AuditRow
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.approval import ApprovalRefused
from interlock.protocol.values import Timestamp, Value


class Refusal(Value):
    """A decision that did not count."""

    approval: str
    """The id that the decision named; perhaps one that was never asked for."""
    approver: str
    code: str
    """Why, machine-readable: e.g. `own_change`, `other_digest`, `expired`, `already_used`."""
    reason: str
    digest: str
    at: Timestamp


class Approval(Value):
    """One gate and the decision about it."""

    id: str
    subject: str
    digest: str
    environment: str
    author: str
    """Who asked for the change: may not approve it."""
    approver: str | None
    """A person, or the policy that allows it outside production."""
    state: ApprovalState
    summary: str
    requested_at: Timestamp
    expires_at: Timestamp
    decided_at: Timestamp | None
    reason: str | None
    refusals: tuple[Refusal, ...]
    """Decisions about this gate that did not count, oldest first."""

    @classmethod
    def of(cls, row: ApprovalRow, *, refused: Iterable[Refusal]) -> Approval:
        """Build from the stored gate and all refusals of the change."""
        return cls(
            id=row.id,
            subject=row.subject,
            digest=row.digest,
            environment=row.environment,
            author=row.author,
            approver=row.approver,
            state=row.state,
            summary=row.summary,
            requested_at=row.requested_at,
            expires_at=row.expires_at,
            decided_at=row.decided_at,
            reason=row.reason,
            refusals=tuple(refusal for refusal in refused if refusal.approval == row.id),
        )


def refusals(audit: Iterable[AuditRow], *, envelopes: Iterable[Envelope[Any]]) -> tuple[Refusal, ...]:
    """Return the refusals on record, oldest first; the trail holds the code, the message to the console the reason."""
    reasons = {
        (envelope.payload.approval_id, envelope.payload.approver, envelope.payload.code): envelope.payload.reason
        for envelope in envelopes
        if isinstance(envelope.payload, ApprovalRefused)
    }
    return tuple(_refusal(row, reasons) for row in audit if row.entry.action == "approval_refused")


def _refusal(row: AuditRow, reasons: dict[tuple[str, str, str], str]) -> Refusal:
    details = row.entry.details
    decision = (details["approval"], details["approver"], details["code"])
    return Refusal(
        approval=details["approval"],
        approver=details["approver"],
        code=details["code"],
        reason=reasons.get(decision, details["code"].replace("_", " ")),
        digest=details["digest"],
        at=row.at,
    )
