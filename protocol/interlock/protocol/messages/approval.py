"""Gates as messages: bound to a digest, granted by a person, expiring, for a single use."""

from __future__ import annotations

__all__ = ["ApprovalDenied", "ApprovalGranted", "ApprovalRefused", "ApprovalRequest", "ApprovalSubject", "Risk"]

from enum import StrEnum

from interlock.protocol.message import Event, Reply, Request, Route, minutes
from interlock.protocol.roles import CONSOLE, COORDINATOR
from interlock.protocol.values import Digest, Environment, IssueKey, LongText, MessageId, ShortText, Timestamp


class ApprovalSubject(StrEnum):
    """What is being approved."""

    PLAN = "plan"
    BUDGET = "budget"
    DEPLOYMENT = "deployment"
    REMEDIATION = "remediation"


class Risk(StrEnum):
    """How much a wrong yes would cost."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ApprovalGranted(Reply, type="approval_granted", route=Route.of(CONSOLE, COORDINATOR)):
    """A person says yes to exactly this digest."""

    approval_id: MessageId
    subject: ApprovalSubject
    digest: Digest
    approver: ShortText
    """The person, by account name; never an agent, never the author."""


class ApprovalDenied(Reply, type="approval_denied", route=Route.of(CONSOLE, COORDINATOR)):
    """A person says no."""

    approval_id: MessageId
    subject: ApprovalSubject
    digest: Digest
    approver: ShortText
    reason: ShortText


class ApprovalRequest(
    Request,
    type="approval_request",
    route=Route.of(COORDINATOR, CONSOLE),
    replies=(ApprovalGranted, ApprovalDenied),
    deadline=minutes(30),
):
    """A person is asked to decide about one digest."""

    approval_id: MessageId
    jira_issue: IssueKey
    subject: ApprovalSubject
    digest: Digest
    environment: Environment
    risk: Risk
    summary: LongText
    """What would happen, as a deterministic text for people."""
    author: ShortText
    """Who asked for the change or wrote it: may not approve it."""
    expires_at: Timestamp


class ApprovalRefused(Event, type="approval_refused", route=Route.of(COORDINATOR, CONSOLE)):
    """A decision did not count: wrong digest, expired, used already, or by someone who may not decide."""

    approval_id: MessageId
    approver: ShortText
    code: ShortText
    reason: ShortText
