"""Planning, applying and verifying one environment: what would change, what did, and what is really there."""

from __future__ import annotations

__all__ = [
    "AppliedResource",
    "DriftDetected",
    "InfrastructureApplied",
    "InfrastructureApply",
    "PlanReady",
    "PlanRequest",
    "PlanSummary",
    "PropertyChange",
    "ReconciliationRequest",
    "ReconciliationResult",
    "ResourceChange",
    "VerificationRequest",
    "VerificationResult",
]

from typing import Annotated, Literal

from pydantic import Field

from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.message import Effect, Reply, Request, Route, hours, minutes
from interlock.protocol.roles import COORDINATOR, DEVOPS
from interlock.protocol.values import (
    CheckResult,
    CheckVerdict,
    Digest,
    Environment,
    Identifier,
    IssueKey,
    MessageId,
    ShortText,
    Timestamp,
    Value,
)

_ORDER = Route.of(COORDINATOR, DEVOPS)
_REPORT = Route.of(DEVOPS, COORDINATOR)


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
