"""From the ticket to a reviewed plan: analysis, estimate, code, plan, security review."""

from __future__ import annotations

__all__ = ["Preparation"]

from decimal import Decimal

from interlock.agents.agent import Answer, to
from interlock.agents.coordinator.gates import Gates
from interlock.agents.coordinator.states import ChangeStates
from interlock.agents.workflow import ANY_STATE, on
from interlock.protocol.messages.approval import ApprovalSubject, Risk
from interlock.protocol.messages.change import (
    ChangeOutcome,
    ChangeRequested,
    CostEstimateReady,
    InfrastructureRequest,
    RequirementsAnalysed,
    RequirementsAnalysisRequest,
)
from interlock.protocol.messages.handoff import HandoffResult, SecurityReviewResult
from interlock.protocol.messages.provisioning import PlanReady
from interlock.protocol.messages.task import InputProvided, InputRequired, TaskAccepted, TaskProgress
from interlock.protocol.roles import CONSOLE, DEVOPS, SECURITY
from interlock.protocol.values import Environment

_MODEST_OVERRUN = Decimal("1.25")
"""Times the budget, up to which the risk of approving an estimate is called medium rather than high."""

_PROGRESS = {
    ("estimated", "in_progress"): ChangeStates.in_progress,
    ("in_progress", "coded"): ChangeStates.coded,
    ("planned", "in_review"): ChangeStates.in_review,
    ("approved", "applying"): ChangeStates.applying,
    ("documented", "handed_off"): ChangeStates.handed_off,
}
"""Which reported step moves which state on."""


class Preparation(Gates):
    """The steps before anything is changed."""

    @on(ChangeRequested, source=ChangeStates.received, target=ChangeStates.analysing)
    def requested(self, request: ChangeRequested) -> RequirementsAnalysisRequest:
        """A change begins."""
        self.update(jira_issue=request.jira_issue, requested_by=request.requested_by)
        self.record("requested", issue=request.jira_issue, by=request.requested_by)
        return RequirementsAnalysisRequest(jira_issue=request.jira_issue)

    @on(ChangeRequested, source=ANY_STATE)
    def joined(self, request: ChangeRequested) -> None:
        """The same change was asked for again: there is one already."""
        self.record("joined", issue=request.jira_issue, by=request.requested_by)

    @on(InputRequired, source=ChangeStates.analysing, target=ChangeStates.input_required)
    def incomplete(self, answer: InputRequired) -> Answer | None:
        """The ticket lacks facts that nobody may guess."""
        if not self.is_from(DEVOPS):
            return None
        self.update(missing=answer.missing)
        return to(CONSOLE, answer)

    @on(InputProvided, source=ChangeStates.input_required, target=ChangeStates.analysing)
    def completed(self, provided: InputProvided) -> RequirementsAnalysisRequest | None:
        """People gave the facts."""
        if not self.is_from(CONSOLE):
            return None
        answers = {**self.data.answers, **provided.answers}
        self.update(answers=answers, missing=())
        return RequirementsAnalysisRequest(jira_issue=self.data.jira_issue, answers=answers)

    @on(RequirementsAnalysed, source=ChangeStates.analysing)
    def analysed(self, result: RequirementsAnalysed) -> InfrastructureRequest:
        """The ticket is understood: what will it cost?"""
        self.update(spec=result.spec, budget=result.budget, timeline=result.timeline, author=result.author)
        return InfrastructureRequest(
            jira_issue=result.jira_issue,
            spec=result.spec,
            environment=result.environment,
            budget=result.budget,
            timeline=result.timeline,
        )

    @on(CostEstimateReady, source=ChangeStates.analysing, target=(ChangeStates.estimated, ChangeStates.over_budget))
    def priced(self, estimate: CostEstimateReady) -> Answer:
        """Within the budget work begins; beyond it people decide."""
        self.update(estimate=estimate)
        if not estimate.over_budget or estimate.budget is None:
            self.goto(self.estimated)
            return self.order_plan()
        self.goto(self.over_budget)
        budget = estimate.budget
        comparable = budget.currency == estimate.currency and estimate.monthly > budget.monthly
        summary = (
            f"{self.data.jira_issue} costs {estimate.monthly} {estimate.currency} a month, "
            f"{budget.monthly} {budget.currency} are budgeted"
        )
        if not comparable:
            summary += f"; the two cannot be compared, without a price are: {', '.join(estimate.unpriced)}"
        modest = comparable and estimate.monthly <= budget.monthly * _MODEST_OVERRUN
        risk = Risk.MEDIUM if modest else Risk.HIGH
        return self.open_gate(ApprovalSubject.BUDGET, estimate.digest, summary, risk=risk)

    @on(TaskProgress, source=ANY_STATE, target=tuple(_PROGRESS.values()))
    def progressed(self, progress: TaskProgress) -> None:
        """An agent reports a step; some of them are states of the change."""
        state = _PROGRESS.get((self.state, progress.step))
        reporter = SECURITY if progress.step == "in_review" else DEVOPS
        if state is not None and self.occasion.sender == reporter:
            self.goto(state)

    @on(TaskAccepted, source=ANY_STATE)
    def acknowledged(self, _answer: TaskAccepted) -> None:
        """Someone has begun; the deadline stays."""

    @on(
        PlanReady,
        source=(ChangeStates.estimated, ChangeStates.in_progress, ChangeStates.coded),
        target=ChangeStates.planned,
    )
    def plan_made(self, plan: PlanReady) -> None:
        """Code and plan exist; the devops agent has asked security to review exactly this revision."""
        self.update(plan=plan)
        self.record("planned", digest=plan.plan_digest, revision=plan.revision, engine=plan.engine)

    @on(
        SecurityReviewResult,
        source=(ChangeStates.planned, ChangeStates.in_review),
        target=(ChangeStates.approved_test, ChangeStates.approved, ChangeStates.closing),
    )
    def reviewed(self, result: SecurityReviewResult) -> Answer | None:
        """Security's verdict on the plan opens the test environment, or ends the change."""
        if result.phase != "plan" or result.reviewed_digest != self.plan.revision:
            self.record("review_of_something_else", digest=result.reviewed_digest)
            return None
        self.record("reviewed", verdict=result.verdict, digest=result.reviewed_digest)
        self.update(checks=result.checks)
        if result.verdict != "approved":
            findings = (f"{found.check}: {found.text}" for found in result.findings if found.severity == "critical")
            return self.close(ChangeOutcome.DECLINED, f"security review rejected the plan: {'; '.join(findings)}")
        rehearsal = self.plan.rehearsal
        if rehearsal is not None:
            self.goto(self.approved_test)
            return self.approve_by_policy(rehearsal.environment, rehearsal.plan_digest)
        if self.plan.environment is Environment.PRODUCTION:
            return self.close(ChangeOutcome.FAILED, "a production plan without a rehearsal cannot be applied")
        self.goto(self.approved)
        return self.approve_by_policy(self.plan.environment, self.plan.plan_digest)

    @on(HandoffResult, source=(ChangeStates.planned, ChangeStates.in_review), target=ChangeStates.closing)
    def not_reviewed(self, result: HandoffResult) -> Answer | None:
        """Security would not, or could not, review the plan; without its verdict nothing is applied."""
        self.record("handoff", peer=result.peer, outcome=result.outcome)
        if result.peer != SECURITY or result.outcome == "accepted":
            self.stay()
            return None
        outcome = ChangeOutcome.DECLINED if result.outcome == "declined" else ChangeOutcome.FAILED
        return self.close(outcome, f"{result.peer} {result.outcome} the review of the plan: {result.reason}")
