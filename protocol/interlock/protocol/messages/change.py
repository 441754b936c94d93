"""A change of infrastructure, from the ticket to the applied and verified resource (coordinator and devops agent)."""

from __future__ import annotations

__all__ = [
    "ChangeConcluded",
    "ChangeOutcome",
    "ChangeRequested",
    "CostEstimateReady",
    "CostLine",
    "DocumentationPublished",
    "DocumentationRequest",
    "EscalationRaised",
    "InfrastructureRequest",
    "MonitoringConfigured",
    "MonitoringRequest",
    "RequirementsAnalysed",
    "RequirementsAnalysisRequest",
    "TicketCloseRequest",
    "TicketClosed",
]

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from interlock.protocol.infrastructure import Budget, DatabaseSpec, Timeline
from interlock.protocol.message import ALL, Effect, Event, Reply, Request, Route, days, minutes
from interlock.protocol.messages.task import InputRequired, MissingInput
from interlock.protocol.roles import CONSOLE, COORDINATOR, DEVOPS
from interlock.protocol.values import (
    Amount,
    CheckResult,
    Currency,
    Digest,
    Environment,
    Identifier,
    IssueKey,
    LongText,
    ShortText,
    Timestamp,
    Value,
)

_ORDER = Route.of(COORDINATOR, DEVOPS)
_REPORT = Route.of(DEVOPS, COORDINATOR)
_NO_TIMELINE = Timeline.model_construct()  # not validated: that would build the first validator during the import


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
    timeline: Timeline = _NO_TIMELINE
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
    timeline: Timeline = _NO_TIMELINE


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
