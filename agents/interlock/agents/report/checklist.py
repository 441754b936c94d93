"""What was checked by whom, gathered from the answers of the agents; it judges nothing itself."""

from __future__ import annotations

__all__ = ["ReportedCheck", "reported_checks", "worst"]

from collections.abc import Iterable, Iterator
from typing import Any

from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.change import MonitoringConfigured
from interlock.protocol.messages.handoff import (
    ConnectivityTestResult,
    DeploymentEnvironmentAcknowledged,
    HandoffResult,
    InfrastructureAcknowledged,
    SecurityReviewResult,
)
from interlock.protocol.messages.provisioning import VerificationResult
from interlock.protocol.values import AgentName, CheckResult, CheckVerdict

_BY_SEVERITY = (CheckVerdict.FAIL, CheckVerdict.UNKNOWN, CheckVerdict.WAIVED, CheckVerdict.PASS)


class ReportedCheck(CheckResult):
    """A check with who looked, and in which step."""

    agent: AgentName
    stage: str
    """`plan` or `resources` of a security review, the environment that was verified, `monitoring` or `handoff`."""


def reported_checks(envelopes: Iterable[Envelope[Any]]) -> tuple[ReportedCheck, ...]:
    """Return every check as first reported, in the order of the messages.

    One answer may travel twice (a review goes to two agents, a peer's answer is relayed to the coordinator); it is
    listed once. A check that was made again with another result is listed again.
    """
    checks: dict[ReportedCheck, None] = {}
    known: set[CheckResult] = set()
    for envelope in envelopes:
        relayed = isinstance(envelope.payload, HandoffResult)
        for stage, check in _checks(envelope.payload):
            if relayed and check in known:
                continue
            known.add(check)
            members = {name: getattr(check, name) for name in CheckResult.model_fields}
            checks.setdefault(ReportedCheck(**members, agent=_witness(envelope), stage=stage))
    return tuple(checks)


def worst(verdicts: Iterable[CheckVerdict]) -> CheckVerdict:
    """Return the verdict that weighs most; of no verdicts nothing is known."""
    return min(verdicts, key=_BY_SEVERITY.index, default=CheckVerdict.UNKNOWN)


def _checks(payload: object) -> Iterator[tuple[str, CheckResult]]:
    match payload:
        case SecurityReviewResult():
            yield from ((payload.phase, check) for check in payload.checks)
        case VerificationResult():
            yield from ((payload.environment.value, check) for check in payload.checks)
        case MonitoringConfigured():
            yield from (("monitoring", check) for check in payload.proof)
        case (
            InfrastructureAcknowledged()
            | DeploymentEnvironmentAcknowledged()
            | ConnectivityTestResult()
            | HandoffResult()
        ):
            yield from (("handoff", check) for check in payload.checks)
        case _:
            return


def _witness(envelope: Envelope[Any]) -> str:
    """Return who looked: the peer, where the message only passes on what the peer said."""
    return envelope.payload.peer if isinstance(envelope.payload, HandoffResult) else envelope.sender
