"""From a verified resource to an accepted change: monitoring, documentation, handoffs, and the ticket's end."""

from __future__ import annotations

__all__ = ["Handover"]

from interlock.agents.agent import Answer, to
from interlock.agents.coordinator.gates import Gates
from interlock.agents.coordinator.states import PEERS, ChangeStates
from interlock.agents.workflow import on
from interlock.protocol.messages.change import (
    ChangeConcluded,
    ChangeOutcome,
    DocumentationPublished,
    DocumentationRequest,
    MonitoringConfigured,
    TicketClosed,
)
from interlock.protocol.messages.handoff import HandoffRequest, HandoffResult, SecurityReviewResult
from interlock.protocol.roles import CONSOLE

_ENDS = {
    ChangeOutcome.ACCEPTED: ChangeStates.done,
    ChangeOutcome.DECLINED: ChangeStates.declined,
    ChangeOutcome.EXPIRED: ChangeStates.expired,
    ChangeOutcome.FAILED: ChangeStates.failed,
}


class Handover(Gates):
    """The steps after the resource exists."""

    @on(MonitoringConfigured, source=ChangeStates.verified, target=ChangeStates.monitored)
    def watched(self, result: MonitoringConfigured) -> DocumentationRequest:
        """Alarms exist: write it all down."""
        assert self.data.estimate is not None, f"{self!r} was never estimated"
        self.update(alarms=result.alarms, checks=(*self.data.checks, *result.proof))
        return DocumentationRequest(
            jira_issue=self.data.jira_issue,
            spec=self.spec,
            estimate=self.data.estimate,
            plan_digest=self.plan.plan_digest,
            approved_by=self.data.approved_by,
            alarms=result.alarms,
        )

    @on(DocumentationPublished, source=ChangeStates.monitored, target=ChangeStates.documented)
    def written(self, result: DocumentationPublished) -> HandoffRequest:
        """Hand over."""
        self.update(page_url=result.page_url)
        return HandoffRequest(
            jira_issue=self.data.jira_issue,
            spec=self.spec,
            revision=self.plan.revision,
            terraform=self.plan.terraform,
        )

    @on(
        HandoffResult,
        source=(ChangeStates.documented, ChangeStates.handed_off),
        target=(ChangeStates.accepted, ChangeStates.closing),
    )
    def answered(self, result: HandoffResult) -> Answer | None:
        """One peer's answer; the change is accepted when all have accepted."""
        self.record("handoff", peer=result.peer, outcome=result.outcome)
        handoffs = {**self.data.handoffs, result.peer: result}
        self.update(handoffs=handoffs, checks=(*self.data.checks, *result.checks))
        if result.outcome != "accepted":
            outcome = ChangeOutcome.DECLINED if result.outcome == "declined" else ChangeOutcome.FAILED
            return self.close(outcome, f"{result.peer} {result.outcome} the handoff: {result.reason}")
        if not set(PEERS) <= set(handoffs):
            return None
        order = self.close(ChangeOutcome.ACCEPTED, f"accepted by {', '.join(PEERS)}")
        self.goto(self.accepted)
        return order

    @on(SecurityReviewResult, source=(ChangeStates.documented, ChangeStates.handed_off))
    def inspected(self, result: SecurityReviewResult) -> None:
        """A copy of what security told the devops agent about the real resources."""
        self.record("inspected", verdict=result.verdict, digest=result.reviewed_digest)

    @on(
        TicketClosed,
        source=(ChangeStates.accepted, ChangeStates.closing),
        target=tuple(_ENDS.values()),
    )
    def closed(self, result: TicketClosed) -> Answer:
        """The ticket says how it ended: so it has."""
        self.record("ticket_closed", status=result.status)
        return self.conclude()

    def conclude(self) -> Answer:
        """Enter the final state that belongs to the outcome, and say so."""
        outcome = self.data.outcome or ChangeOutcome.FAILED
        self.goto(_ENDS[outcome])
        conclusion = ChangeConcluded(
            jira_issue=self.data.jira_issue, outcome=outcome, reason=self.data.reason, missing=self.data.missing
        )
        return to(CONSOLE, conclusion)
