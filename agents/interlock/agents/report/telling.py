"""The one detail of each message that tells most, for people who watch; it knows no output device."""

from __future__ import annotations

__all__ = ["telling", "verdicts"]

from collections import Counter
from collections.abc import Iterable

from interlock.agents.report.text import counted
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalGranted, ApprovalRefused, ApprovalRequest
from interlock.protocol.messages.change import (
    ChangeConcluded,
    ChangeRequested,
    CostEstimateReady,
    DocumentationPublished,
    EscalationRaised,
    MonitoringConfigured,
    RequirementsAnalysed,
    TicketClosed,
    TicketCloseRequest,
)
from interlock.protocol.messages.handoff import (
    ConnectivityTestRequest,
    ConnectivityTestResult,
    DeploymentEnvironmentAcknowledged,
    DeploymentEnvironmentReady,
    HandoffResult,
    InfrastructureAcknowledged,
    InfrastructureReady,
    SecurityReviewRequest,
    SecurityReviewResult,
)
from interlock.protocol.messages.presence import AgentAnnounced, AgentOffline
from interlock.protocol.messages.provisioning import (
    DriftDetected,
    InfrastructureApplied,
    InfrastructureApply,
    PlanReady,
    ReconciliationResult,
    VerificationRequest,
    VerificationResult,
)
from interlock.protocol.messages.repair import DeadLettersReport, RepairOutcome, RepairRequest, RepairResult
from interlock.protocol.messages.task import (
    DeadlineExceeded,
    InputProvided,
    InputRequired,
    MessageRejected,
    TaskAccepted,
    TaskCancelled,
    TaskCompleted,
    TaskDeclined,
    TaskFailed,
    TaskProgress,
)
from interlock.protocol.values import CheckResult, CheckVerdict

_DIGEST_LENGTH = len("sha256:") + 12


def telling(message: Message) -> str:
    """Return the detail as plain text as its sender wrote it, empty when the type says it all.

    It may contain anything that a ticket may: whoever shows it makes it visible and escapes it.
    """
    return _of_change(message) or _of_handoff(message) or _of_people(message) or _of_task(message)


def verdicts(checks: Iterable[CheckResult]) -> str:
    """Count the verdicts, gravest last: `12 pass, 1 unknown`."""
    counted = Counter(check.verdict for check in checks)
    order = (CheckVerdict.PASS, CheckVerdict.WAIVED, CheckVerdict.UNKNOWN, CheckVerdict.FAIL)
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in order if counted[verdict])


def _of_change(message: Message) -> str:
    match message:
        case ChangeRequested():
            return f"{message.jira_issue}, asked for by {message.requested_by}"
        case RequirementsAnalysed(spec=spec):
            return f"{spec.engine.label} {spec.engine_version}, {spec.instance_class}, {spec.storage_gb} GB"
        case CostEstimateReady():
            return f"{message.monthly} {message.currency} a month" + (", over budget" if message.over_budget else "")
        case PlanReady():
            return (
                f"{message.creates} to create, {message.updates} to update, {message.destroys} to destroy; "
                f"{_short(message.plan_digest)}"
            )
        case InfrastructureApply():
            return f"{message.environment}, {_short(message.plan_digest)}, approved by {message.approved_by}"
        case InfrastructureApplied():
            return f"{message.environment}: {counted(len(message.resources), 'resource')} read back"
        case DriftDetected():
            return f"{message.environment}: {'; '.join(message.diff)}"
        case ReconciliationResult():
            return f"{message.environment}: {message.outcome}"
        case VerificationRequest():
            return message.environment
        case VerificationResult():
            return f"{message.environment}: {message.verdict} ({verdicts(message.checks)})"
        case MonitoringConfigured():
            return counted(len(message.alarms), "alarm")
        case DocumentationPublished():
            return message.page_url
        case TicketCloseRequest():
            return message.outcome
        case TicketClosed():
            return message.status
        case ChangeConcluded():
            return f"{message.outcome}: {message.reason}"
        case EscalationRaised():
            return f"{message.state} waits for {message.waiting_for}"
        case _:
            return ""


def _of_handoff(message: Message) -> str:
    match message:
        case InfrastructureReady(connection=connection):
            return f"{message.resource} at {connection.endpoint}:{connection.port}"
        case InfrastructureAcknowledged():
            return f"{_accepted(message.accepted)}, pool of {message.pool_size}"
        case DeploymentEnvironmentReady():
            return f"namespace {message.namespace} in {message.cluster}"
        case DeploymentEnvironmentAcknowledged():
            return ", ".join((_accepted(message.accepted), *message.missing))
        case SecurityReviewRequest():
            return message.scope
        case SecurityReviewResult():
            return f"{message.phase}: {message.verdict}, {counted(len(message.findings), 'finding')}"
        case ConnectivityTestRequest(target=target):
            return f"{target.connection.endpoint}:{target.connection.port}"
        case ConnectivityTestResult():
            return f"{message.verdict} ({verdicts(message.checks)})"
        case HandoffResult():
            return f"{message.peer}: {message.outcome}"
        case _:
            return ""


def _of_people(message: Message) -> str:
    match message:
        case ApprovalRequest():
            return f"{message.subject}, {message.environment}, {_short(message.digest)}"
        case ApprovalGranted():
            return f"{message.subject} by {message.approver}"
        case ApprovalDenied():
            return f"{message.subject} by {message.approver}: {message.reason}"
        case ApprovalRefused():
            return f"{message.approver}: {message.reason}"
        case InputRequired():
            return ", ".join(fact.field for fact in message.missing)
        case InputProvided():
            return ", ".join(message.answers)
        case DeadLettersReport():
            return counted(len(message.letters), "letter")
        case RepairRequest():
            return f"{message.action} {', '.join(message.letters)} by {message.by}"
        case RepairResult():
            done = sum(outcome.outcome is RepairOutcome.DONE for outcome in message.outcomes)
            return f"{done} of {len(message.outcomes)} repaired"
        case _:
            return ""


def _of_task(message: Message) -> str:
    match message:
        case TaskAccepted():
            return message.note or ""
        case TaskProgress():
            return f"{message.step}: {message.detail}" if message.detail else message.step
        case TaskDeclined() | TaskFailed() | MessageRejected():
            return f"{message.code}: {message.reason}"
        case TaskCancelled():
            return message.reason
        case TaskCompleted():
            return message.summary
        case DeadlineExceeded():
            return message.request_type
        case AgentAnnounced():
            return f"handles {counted(len(message.handles), 'type')}"
        case AgentOffline():
            return message.reason
        case _:
            return ""


def _accepted(accepted: bool) -> str:
    return "accepted" if accepted else "not accepted"


def _short(digest: str) -> str:
    return digest[:_DIGEST_LENGTH]
