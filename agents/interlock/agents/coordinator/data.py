"""What a change remembers between messages; frozen, and stored as JSON."""

from __future__ import annotations

__all__ = ["ChangeData", "Gate"]

from pydantic import Field

from interlock.bus.store.records import ApprovalState
from interlock.protocol.infrastructure import Budget, DatabaseSpec, Timeline
from interlock.protocol.messages.approval import ApprovalSubject
from interlock.protocol.messages.change import ChangeOutcome, CostEstimateReady
from interlock.protocol.messages.handoff import HandoffResult
from interlock.protocol.messages.provisioning import PlanReady
from interlock.protocol.messages.task import MissingInput
from interlock.protocol.values import CheckResult, Digest, Environment, MessageId, Timestamp, Value


class Gate(Value):
    """One approval that was asked for."""

    id: MessageId
    subject: ApprovalSubject
    digest: Digest
    environment: Environment
    author: str
    summary: str
    requested_at: Timestamp
    expires_at: Timestamp
    state: ApprovalState = ApprovalState.OPEN


class ChangeData(Value):
    """Everything that has been learned about one change."""

    jira_issue: str = ""
    requested_by: str = ""
    author: str = ""
    answers: dict[str, str] = Field(default_factory=dict[str, str])
    missing: tuple[MissingInput, ...] = ()
    spec: DatabaseSpec | None = None
    budget: Budget | None = None
    timeline: Timeline = Timeline()
    estimate: CostEstimateReady | None = None
    plan: PlanReady | None = None
    gates: dict[str, Gate] = Field(default_factory=dict[str, Gate])
    approved_by: str = ""
    stage: Environment | None = None
    """The environment that is being applied to."""
    replans: int = 0
    escalated: bool = False
    checks: tuple[CheckResult, ...] = ()
    alarms: tuple[str, ...] = ()
    page_url: str | None = None
    handoffs: dict[str, HandoffResult] = Field(default_factory=dict[str, HandoffResult])
    outcome: ChangeOutcome | None = None
    reason: str = ""
