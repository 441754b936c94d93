"""A change of infrastructure, from the ticket to the applied and verified resource (coordinator and devops agent)."""

from __future__ import annotations

__all__ = [
    "AppliedResource",
    "ChangeConcluded",
    "ChangeOutcome",
    "ChangeRequested",
    "CostEstimateReady",
    "CostLine",
    "DocumentationPublished",
    "DocumentationRequest",
    "DriftDetected",
    "EscalationRaised",
    "InfrastructureApplied",
    "InfrastructureApply",
    "InfrastructureRequest",
    "MonitoringConfigured",
    "MonitoringRequest",
    "PlanReady",
    "PlanRequest",
    "PlanSummary",
    "PropertyChange",
    "ReconciliationRequest",
    "ReconciliationResult",
    "RequirementsAnalysed",
    "RequirementsAnalysisRequest",
    "ResourceChange",
    "TicketCloseRequest",
    "TicketClosed",
    "VerificationRequest",
    "VerificationResult",
]

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from interlock.protocol.infrastructure import Budget, DatabaseSpec, Timeline
from interlock.protocol.message import ALL, Effect, Event, Reply, Request, Route, days, hours, minutes
from interlock.protocol.messages.task import InputRequired, MissingInput
from interlock.protocol.roles import CONSOLE, COORDINATOR, DEVOPS
from interlock.protocol.values import (
    Amount,
    CheckResult,
    CheckVerdict,
    Currency,
    Digest,
    Environment,
    Identifier,
    IssueKey,
    LongText,
    MessageId,
    ShortText,
    Timestamp,
    Value,
)

_ORDER = Route.of(COORDINATOR, DEVOPS)
_REPORT = Route.of(DEVOPS, COORDINATOR)


class ChangeRequested(Request, type="change_requested", route=Route.of(CONSOLE, COORDINATOR), deadline=days(7)):
    """A Jira infrastructure task is to be carried out. A second one for the same issue joins the first."""

    jira_issue: IssueKey
    requested_by: ShortText


class ChangeOutcome(StrEnum):
    """How a change stands, or ended."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    INPUT_REQUIRED = "input_required"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    EXPIRED = "expired"
    FAILED = "failed"


class ChangeConcluded(Event, type="change_concluded", route=Route.of(COORDINATOR, (CONSOLE, ALL))):
    """The change has ended."""

    jira_issue: IssueKey
    outcome: ChangeOutcome
    reason: LongText
    missing: tuple[MissingInput, ...] = ()


class EscalationRaised(Event, type="escalation_raised", route=Route.of(COORDINATOR, (DEVOPS, CONSOLE))):
    """A step is overdue and people must know; the devops agent tells the operators' channel."""

    jira_issue: IssueKey
    state: Identifier
    waiting_for: ShortText
    deadline: Timestamp


class RequirementsAnalysed(Reply, type="requirements_analysed", route=_REPORT):
    """The ticket as a typed specification; nothing in it was guessed."""

    jira_issue: IssueKey
    spec: DatabaseSpec
    environment: Environment
    budget: Budget | None = None
    timeline: Timeline = Timeline()
    author: ShortText
    """The reporter of the ticket: may not approve the change."""


class RequirementsAnalysisRequest(
    Request,
    type="requirements_analysis_request",
    route=_ORDER,
    replies=(RequirementsAnalysed, InputRequired),
    deadline=minutes(10),
):
    """Read the ticket and turn its text into a typed specification."""

    jira_issue: IssueKey
    answers: dict[Identifier, ShortText] = Field(default_factory=dict[str, str])
    """Facts that people gave when the ticket alone was not enough; they win over the ticket's text."""


class CostLine(Value):
    """One priced part of an estimate."""

    item: ShortText
    quantity: Amount
    unit: ShortText
    unit_price: Annotated[Amount, Field(max_digits=18, decimal_places=8)]
    monthly: Amount


class CostEstimateReady(Reply, type="cost_estimate_ready", route=_REPORT):
    """What the specification costs per month, itemised."""

    jira_issue: IssueKey
    monthly: Amount
    """The sum of the priced lines."""
    currency: Currency
    line_items: tuple[CostLine, ...]
    unpriced: tuple[ShortText, ...]
    """What is not in the sum, because no price is known for it; never counted as 0."""
    source: ShortText
    """Where the prices come from, and their date."""
    budget: Budget | None = None
    over_budget: bool
    digest: Digest
    """Of this estimate: what an approval of the overrun is bound to."""


class InfrastructureRequest(
    Request, type="infrastructure_request", route=_ORDER, replies=(CostEstimateReady,), deadline=minutes(10)
):
    """Take the change on: estimate what it costs."""

    jira_issue: IssueKey
    spec: DatabaseSpec
    environment: Environment
    budget: Budget | None = None
    timeline: Timeline = Timeline()


class PropertyChange(Value):
    """One property, before and after; never a secret value."""

    name: Identifier
    before: ShortText | None = None
    after: ShortText | None = None


class ResourceChange(Value):
    """What would happen to one resource."""

    address: Identifier
    """As Terraform writes it: type and name, e.g. `aws_db_instance.production`."""
    action: Literal["create", "update", "replace", "destroy", "none"]
    properties: tuple[PropertyChange, ...] = ()


class PlanSummary(Value):
    """One plan for one environment. The digest is of the exact bytes that would be applied."""

    environment: Environment
    plan_digest: Digest
    creates: Annotated[int, Field(ge=0)]
    updates: Annotated[int, Field(ge=0)]
    destroys: Annotated[int, Field(ge=0)]
    """A replacement counts as one destroy and one create."""
    changes: tuple[ResourceChange, ...]


class PlanReady(Reply, type="plan_ready", route=_REPORT):
    """The code is written and planned; nothing was changed."""

    jira_issue: IssueKey
    environment: Environment
    plan_digest: Digest
    revision: Digest
    """Of the code and both plans: content-addressed, so it can never point at something else later."""
    terraform: ShortText
    """Where the revision can be read, by an immutable address."""
    engine: Identifier
    """What will apply it: `terraform` or `aws-direct`."""
    creates: Annotated[int, Field(ge=0)]
    updates: Annotated[int, Field(ge=0)]
    destroys: Annotated[int, Field(ge=0)]
    changes: tuple[ResourceChange, ...]
    findings: tuple[ShortText, ...]
    """What the author noticed: formatter, validator and unresolved questions."""
    rehearsal: PlanSummary | None = None
    """For production: the plan for the test environment, which is applied first."""
    expires_at: Timestamp


class PlanRequest(
    Request, type="plan_request", route=_ORDER, effect=Effect.REVERSIBLE, replies=(PlanReady,), deadline=minutes(20)
):
    """Move the ticket to In Progress, write the code and plan it."""

    jira_issue: IssueKey
    spec: DatabaseSpec


class AppliedResource(Value):
    """One resource as read back after applying."""

    address: Identifier
    id: ShortText
    """The provider's own id or ARN."""
    properties: dict[Identifier, ShortText]


class InfrastructureApplied(Reply, type="infrastructure_applied", route=_REPORT):
    """The approved plan was applied, and every resource read back."""

    jira_issue: IssueKey
    environment: Environment
    plan_digest: Digest
    state_serial: Annotated[int, Field(ge=0)]
    """Grows with every apply of this executor; Terraform keeps a serial of its own in its state."""
    outputs_ref: ShortText
    engine: Identifier
    resources: tuple[AppliedResource, ...]


class DriftDetected(Reply, type="drift_detected", route=_REPORT):
    """The world is not what the plan was made for; every approval of that plan is void. Nothing was changed."""

    jira_issue: IssueKey
    environment: Environment
    plan_digest: Digest
    observed_digest: Digest
    diff: tuple[ShortText, ...]


class InfrastructureApply(
    Request,
    type="infrastructure_apply",
    route=_ORDER,
    effect=Effect.DESTRUCTIVE,
    replies=(InfrastructureApplied, DriftDetected),
    deadline=hours(1),
):
    """Apply exactly this plan; the executor hashes what it is about to apply and compares."""

    jira_issue: IssueKey
    environment: Environment
    spec: DatabaseSpec
    plan_digest: Digest
    revision: Digest
    terraform: ShortText
    """Where the revision can be read, by its immutable address."""
    approval_id: MessageId
    approved_by: ShortText
    """A person for production; the policy that allows it elsewhere."""
    approval_expires_at: Timestamp


class ReconciliationResult(Reply, type="reconciliation_result", route=_REPORT):
    """What the real world says about an apply whose outcome was unknown."""

    jira_issue: IssueKey
    environment: Environment
    plan_digest: Digest
    outcome: Literal["applied", "partly_applied", "not_applied"]
    outstanding: tuple[ShortText, ...]
    """What of the plan is not there yet."""


class ReconciliationRequest(
    Request, type="reconciliation_request", route=_ORDER, replies=(ReconciliationResult,), deadline=minutes(15)
):
    """An apply ended unknown: look at what is really there. Changes nothing."""

    jira_issue: IssueKey
    environment: Environment
    plan_digest: Digest
    terraform: ShortText


class VerificationResult(Reply, type="verification_result", route=_REPORT):
    """Every property of the specification, compared with what the provider reports."""

    jira_issue: IssueKey
    environment: Environment
    verdict: CheckVerdict
    checks: tuple[CheckResult, ...]


class VerificationRequest(
    Request, type="verification_request", route=_ORDER, replies=(VerificationResult,), deadline=minutes(15)
):
    """Read every property back and compare it with the specification."""

    jira_issue: IssueKey
    environment: Environment
    spec: DatabaseSpec


class MonitoringConfigured(Reply, type="monitoring_configured", route=_REPORT):
    """Alarms and dashboard exist, and an alert has been seen to go out."""

    jira_issue: IssueKey
    alarms: tuple[ShortText, ...]
    dashboard_uid: Identifier
    proof: tuple[CheckResult, ...]


class MonitoringRequest(
    Request,
    type="monitoring_request",
    route=_ORDER,
    effect=Effect.REVERSIBLE,
    replies=(MonitoringConfigured,),
    deadline=minutes(15),
):
    """Set up alarms and a dashboard for the resource."""

    jira_issue: IssueKey
    spec: DatabaseSpec


class DocumentationPublished(Reply, type="documentation_published", route=_REPORT):
    """The page about the resource is up to date."""

    jira_issue: IssueKey
    page_url: ShortText
    version: Annotated[int, Field(ge=1)]


class DocumentationRequest(
    Request,
    type="documentation_request",
    route=_ORDER,
    effect=Effect.REVERSIBLE,
    replies=(DocumentationPublished,),
    deadline=minutes(15),
):
    """Write the page that links everything, or bring it up to date in place."""

    jira_issue: IssueKey
    spec: DatabaseSpec
    estimate: CostEstimateReady
    plan_digest: Digest
    approved_by: ShortText
    alarms: tuple[ShortText, ...]


class TicketClosed(Reply, type="ticket_closed", route=_REPORT):
    """The ticket says how the change ended."""

    jira_issue: IssueKey
    status: ShortText
    """The issue's status as read back from Jira."""
    comment_id: ShortText
    attachments: tuple[ShortText, ...]


class TicketCloseRequest(
    Request,
    type="ticket_close_request",
    route=_ORDER,
    effect=Effect.REVERSIBLE,
    replies=(TicketClosed,),
    deadline=minutes(15),
):
    """Write the closing comment; for an accepted change attach the evidence and move the issue to Done."""

    jira_issue: IssueKey
    outcome: ChangeOutcome
    reason: LongText
    spec: DatabaseSpec | None = None
    estimate: CostEstimateReady | None = None
    plan_digest: Digest | None = None
    page_url: ShortText | None = None
    checks: tuple[CheckResult, ...] = ()
    alarms: tuple[ShortText, ...] = ()
    missing: tuple[MissingInput, ...] = ()
