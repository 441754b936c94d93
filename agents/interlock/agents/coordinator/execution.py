"""From an approved plan to a verified resource: test environment, production, and what to do when in doubt."""

from __future__ import annotations

__all__ = ["Execution"]

from interlock.agents.agent import Answer
from interlock.agents.coordinator.gates import Gates
from interlock.agents.coordinator.states import ChangeStates
from interlock.agents.workflow import on
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.approval import ApprovalSubject, Risk
from interlock.protocol.messages.change import ChangeOutcome, MonitoringRequest
from interlock.protocol.messages.provisioning import (
    DriftDetected,
    InfrastructureApplied,
    ReconciliationRequest,
    ReconciliationResult,
    VerificationRequest,
    VerificationResult,
)
from interlock.protocol.messages.task import TaskFailed
from interlock.protocol.roles import DEVOPS
from interlock.protocol.values import CheckVerdict, Environment

_UNDER_WAY = (ChangeStates.approved_test, ChangeStates.approved, ChangeStates.applying)


class Execution(Gates):
    """The steps that change the world; an unknown outcome is looked at, never repeated blindly."""

    @on(InfrastructureApplied, source=ChangeStates.approved_test, target=ChangeStates.applied_test)
    @on(InfrastructureApplied, source=(ChangeStates.approved, ChangeStates.applying), target=ChangeStates.applied)
    def applied_to(self, result: InfrastructureApplied) -> VerificationRequest | None:
        """Applied: does the provider report what was asked for?"""
        if not self._is_current(result.environment, result.plan_digest):
            return None
        self.record("applied", environment=result.environment, digest=result.plan_digest, engine=result.engine)
        return self._verify()

    @on(VerificationResult, source=ChangeStates.applied_test, target=(ChangeStates.verified_test, ChangeStates.closing))
    def rehearsed(self, result: VerificationResult) -> Answer | None:
        """The test environment is as specified: people may now decide about production."""
        if not self._is_current(result.environment):
            return None
        if result.verdict is not CheckVerdict.PASS:
            return self._not_as_specified(result)
        self.goto(self.verified_test)
        plan = self.plan
        summary = (
            f"Apply plan {plan.plan_digest} of {self.data.jira_issue} to {plan.environment} with {plan.engine}: "
            f"{plan.creates} to create, {plan.updates} to update, {plan.destroys} to destroy"
        )
        risk = Risk.HIGH if plan.destroys else Risk.MEDIUM
        return self.open_gate(ApprovalSubject.PLAN, plan.plan_digest, summary, risk=risk)

    @on(VerificationResult, source=ChangeStates.applied, target=(ChangeStates.verified, ChangeStates.closing))
    def confirmed(self, result: VerificationResult) -> Answer | None:
        """The resource is as specified: watch it."""
        if not self._is_current(result.environment):
            return None
        if result.verdict is not CheckVerdict.PASS:
            return self._not_as_specified(result)
        self.update(checks=(*self.data.checks, *result.checks))
        self.goto(self.verified)
        return MonitoringRequest(jira_issue=self.data.jira_issue, spec=self.spec)

    @on(DriftDetected, source=_UNDER_WAY, target=(ChangeStates.in_progress, ChangeStates.closing))
    def drifted(self, drift: DriftDetected) -> Answer | None:
        """The world moved on since the plan was made: its approval is void."""
        if not self._is_current(drift.environment):
            return None
        return self.plan_again(f"drift in {drift.environment}: {'; '.join(drift.diff)}")

    @on(TaskFailed, source=_UNDER_WAY, target=(ChangeStates.apply_unknown, ChangeStates.closing))
    def apply_failed(self, failure: TaskFailed) -> Answer | None:
        """Failed for certain ends the change; perhaps applied has to be looked at first."""
        if not self.is_from(DEVOPS):
            return None
        if failure.outcome == "failed":
            return self.close(ChangeOutcome.FAILED, f"{failure.code}: {failure.reason}")
        self.record("apply_unknown", environment=str(self.data.stage), reason=failure.reason)
        self.goto(self.apply_unknown)
        return ReconciliationRequest(
            jira_issue=self.data.jira_issue,
            environment=self._stage,
            plan_digest=self._staged_digest,
            terraform=self.plan.terraform,
        )

    @on(
        ReconciliationResult,
        source=ChangeStates.apply_unknown,
        target=(ChangeStates.applied_test, ChangeStates.applied, ChangeStates.in_progress, ChangeStates.closing),
    )
    def reconciled(self, result: ReconciliationResult) -> Answer | None:
        """What is really there decides: go on, or plan what is outstanding."""
        if not self._is_current(result.environment, result.plan_digest):
            return None
        self.record("reconciled", environment=result.environment, outcome=result.outcome)
        if result.outcome == "applied":
            self.goto(self.applied if self._stage is self.spec.environment else self.applied_test)
            return self._verify()
        return self.plan_again(f"{result.outcome} in {result.environment}: {', '.join(result.outstanding)}")

    @property
    def _stage(self) -> Environment:
        return self.data.stage or self.spec.environment

    @property
    def _staged_spec(self) -> DatabaseSpec:
        return self.spec if self._stage is self.spec.environment else self.spec.rehearsal()

    @property
    def _staged_digest(self) -> str:
        rehearsal = self.plan.rehearsal
        return rehearsal.plan_digest if rehearsal and rehearsal.environment is self._stage else self.plan.plan_digest

    def _is_current(self, environment: Environment, plan_digest: str | None = None) -> bool:
        """Return whether a result is of what is under way; a late one of an earlier apply goes on record only."""
        if environment is self._stage and plan_digest in {None, self._staged_digest}:
            return True
        self.record("result_of_something_else", environment=environment, digest=str(plan_digest))
        self.stay()
        return False

    def _verify(self) -> VerificationRequest:
        return VerificationRequest(jira_issue=self.data.jira_issue, environment=self._stage, spec=self._staged_spec)

    def _not_as_specified(self, result: VerificationResult) -> Answer:
        wrong = "; ".join(f"{c.title}: {c.evidence}" for c in result.checks if c.verdict is not CheckVerdict.PASS)
        return self.close(ChangeOutcome.FAILED, f"{result.environment} is not as specified: {wrong}")
