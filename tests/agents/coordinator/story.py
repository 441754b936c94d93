"""The messages of one change as its peers send them, for tests of the coordinator."""

from __future__ import annotations

__all__ = [
    "AUTHOR",
    "CHECK",
    "ISSUE",
    "REQUESTER",
    "SPEC",
    "TO_THE_END",
    "WAY",
    "applied",
    "deny",
    "digest",
    "drift",
    "estimate",
    "grant",
    "handoff",
    "plan",
    "reconciled",
    "review",
    "verified",
]

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from interlock.protocol.infrastructure import Budget
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalGranted, ApprovalRequest
from interlock.protocol.messages.change import (
    ChangeRequested,
    CostEstimateReady,
    DocumentationPublished,
    MonitoringConfigured,
    RequirementsAnalysed,
    TicketClosed,
)
from interlock.protocol.messages.handoff import HandoffResult, SecurityReviewResult
from interlock.protocol.messages.provisioning import (
    DriftDetected,
    InfrastructureApplied,
    PlanReady,
    PlanSummary,
    ReconciliationResult,
    VerificationResult,
)
from interlock.protocol.roles import BACKEND, DEPLOY, QA, SECURITY
from interlock.protocol.values import CheckResult, CheckVerdict, Environment
from specimens import PROJ_140

ISSUE = "PROJ-140"
AUTHOR = "Dana"
REQUESTER = "release-lead"
SPEC = PROJ_140
CHECK = CheckResult(id="multi-az", title="Multi-AZ", verdict=CheckVerdict.PASS, evidence="describe-db-instances")
_BUDGET = Budget(monthly=Decimal(150))


def digest(word: str) -> str:
    """Return a digest that stands for this word."""
    return f"sha256:{word.encode().hex():0>64}"


def estimate(monthly: int = 145) -> CostEstimateReady:
    """Return an estimate against a budget of 150."""
    return CostEstimateReady(
        jira_issue=ISSUE,
        monthly=Decimal(monthly),
        currency="USD",
        line_items=(),
        unpriced=(),
        source="a test",
        budget=_BUDGET,
        over_budget=monthly > 150,
        digest=digest("estimate"),
    )


def plan(number: int = 1, *, environment: Environment = Environment.PRODUCTION, rehearsed: bool = True) -> PlanReady:
    """Return the plan that is made as the n-th of its change."""
    rehearsal = PlanSummary(
        environment=Environment.TEST,
        plan_digest=digest(f"test{number}"),
        creates=1,
        updates=0,
        destroys=0,
        changes=(),
    )
    return PlanReady(
        jira_issue=ISSUE,
        environment=environment,
        plan_digest=digest(f"plan{number}"),
        revision=digest(f"code{number}"),
        terraform=f"s3://artifacts/{number}",
        engine="terraform",
        creates=1,
        updates=0,
        destroys=0,
        changes=(),
        findings=(),
        rehearsal=rehearsal if rehearsed else None,
        expires_at=datetime(2027, 1, 1, tzinfo=UTC),
    )


def review(number: int = 1, *, verdict: Literal["approved", "rejected"] = "approved") -> SecurityReviewResult:
    """Return security's verdict on the n-th plan."""
    return SecurityReviewResult(
        jira_issue=ISSUE, phase="plan", verdict=verdict, findings=(), reviewed_digest=digest(f"code{number}")
    )


def applied(environment: Environment, number: int = 1) -> InfrastructureApplied:
    """Return that the n-th plan was applied."""
    return InfrastructureApplied(
        jira_issue=ISSUE,
        environment=environment,
        plan_digest=_of(environment, number),
        state_serial=1,
        outputs_ref="secretsmanager:prod/database/credentials",
        engine="terraform",
        resources=(),
    )


def drift(environment: Environment, number: int = 1) -> DriftDetected:
    """Return that the world moved on after the n-th plan."""
    return DriftDetected(
        jira_issue=ISSUE,
        environment=environment,
        plan_digest=_of(environment, number),
        observed_digest=digest("elsewhere"),
        diff=("storage: 100 -> 200",),
    )


def reconciled(
    environment: Environment, outcome: Literal["applied", "partly_applied", "not_applied"], number: int = 1
) -> ReconciliationResult:
    """Return what was found after an apply of the n-th plan."""
    return ReconciliationResult(
        jira_issue=ISSUE,
        environment=environment,
        plan_digest=_of(environment, number),
        outcome=outcome,
        outstanding=() if outcome == "applied" else ("aws_db_instance.production",),
    )


def verified(environment: Environment, verdict: CheckVerdict = CheckVerdict.PASS) -> VerificationResult:
    """Return what reading back gave."""
    check = CHECK.model_copy(update={"verdict": verdict})
    return VerificationResult(jira_issue=ISSUE, environment=environment, verdict=verdict, checks=(check,))


def handoff(peer: str, outcome: Literal["accepted", "declined", "failed"] = "accepted") -> HandoffResult:
    """Return one peer's answer."""
    return HandoffResult(peer=peer, handoff="infrastructure_ready", outcome=outcome, reason="as tested")


def grant(request: ApprovalRequest, approver: str = "Kim", *, of: str | None = None) -> ApprovalGranted:
    """Return a person's yes to a request, or to another digest."""
    return ApprovalGranted(
        approval_id=request.approval_id, subject=request.subject, digest=of or request.digest, approver=approver
    )


def deny(request: ApprovalRequest, approver: str = "Kim") -> ApprovalDenied:
    """Return a person's no."""
    return ApprovalDenied(
        approval_id=request.approval_id,
        subject=request.subject,
        digest=request.digest,
        approver=approver,
        reason="not this week",
    )


def _of(environment: Environment, number: int) -> str:
    return digest(f"{'test' if environment is Environment.TEST else 'plan'}{number}")


WAY: tuple[Message, ...] = (
    ChangeRequested(jira_issue=ISSUE, requested_by=REQUESTER),
    RequirementsAnalysed(jira_issue=ISSUE, spec=SPEC, environment=SPEC.environment, budget=_BUDGET, author=AUTHOR),
    estimate(),
    plan(),
    review(),
    applied(Environment.TEST),
    verified(Environment.TEST),
)
"""From the request to the question whether production may be changed."""

TO_THE_END: tuple[Message, ...] = (
    applied(Environment.PRODUCTION),
    verified(Environment.PRODUCTION),
    MonitoringConfigured(jira_issue=ISSUE, alarms=("cpu",), dashboard_uid="prod-db", proof=(CHECK,)),
    DocumentationPublished(jira_issue=ISSUE, page_url="https://wiki.example.org/db", version=1),
    *(handoff(peer) for peer in (BACKEND, SECURITY, QA, DEPLOY)),
    TicketClosed(jira_issue=ISSUE, status="Done", comment_id="1", attachments=()),
)
"""From the person's yes to the accepted change."""
