"""The Change workflow: from a Jira infrastructure task to an accepted resource, or to a reason why not."""

from __future__ import annotations

__all__ = ["Change"]

from datetime import timedelta

from interlock.agents.agent import Answer, to
from interlock.agents.coordinator.execution import Execution
from interlock.agents.coordinator.handover import Handover
from interlock.agents.coordinator.preparation import Preparation
from interlock.agents.coordinator.states import ChangeStates
from interlock.agents.workflow import ANY_STATE, Timeout, on
from interlock.agents.workflow.workflow import OVERDUE
from interlock.protocol.message import hours
from interlock.protocol.messages.change import ChangeOutcome, ChangeRequested, EscalationRaised
from interlock.protocol.messages.task import DeadlineExceeded, MessageRejected, TaskCancelled, TaskDeclined, TaskFailed
from interlock.protocol.roles import CONSOLE, DEVOPS

_LONGEST_GRACE = hours(1)
_LAST_STEPS = (ChangeStates.accepted, ChangeStates.closing)
_ENDS = (ChangeStates.done, ChangeStates.declined, ChangeStates.expired, ChangeStates.failed)


class Change(Preparation, Execution, Handover):
    """One change. The phases hold the steps of the way forward; here are the ways out of every state."""

    @on(TaskDeclined, source=ANY_STATE, target=ChangeStates.closing)
    def refused(self, answer: TaskDeclined) -> Answer | None:
        """The devops agent, which alone is given orders, will not do it."""
        if not self.is_from(DEVOPS):
            return None
        return self.close(ChangeOutcome.DECLINED, f"{self.occasion.sender}: {answer.reason} ({answer.code})")

    @on(TaskFailed, MessageRejected, source=ANY_STATE, target=ChangeStates.closing)
    def broke(self, answer: TaskFailed | MessageRejected) -> Answer | None:
        """The devops agent tried and failed."""
        if not self.is_from(DEVOPS):
            return None
        return self.close(ChangeOutcome.FAILED, f"{self.occasion.sender}: {answer.reason} ({answer.code})")

    @on(TaskCancelled, source=ANY_STATE, target=ChangeStates.closing)
    def cancelled(self, order: TaskCancelled) -> Answer | None:
        """People no longer want it."""
        if not self.is_from(CONSOLE):
            return None
        return self.close(ChangeOutcome.DECLINED, f"cancelled: {order.reason}")

    @on(TaskDeclined, TaskFailed, MessageRejected, source=_LAST_STEPS, target=_ENDS)
    def ticket_not_closed(self, answer: TaskDeclined | TaskFailed | MessageRejected) -> Answer | None:
        """The ticket could not be told; the change has ended all the same, and says so."""
        if not self.is_from(DEVOPS):
            return None
        self.update(reason=f"{self.data.reason}; the ticket could not be closed: {answer.reason} ({answer.code})")
        return self.conclude()

    @on(DeadlineExceeded, source=ANY_STATE)
    def not_begun(self, missed: DeadlineExceeded) -> None:
        """An order was found too late to begin; the state's own deadline has passed as well, and decides."""
        self.record("deadline_exceeded", request=missed.request_type)

    @on(ChangeRequested, source=_ENDS)
    def requested_again(self, request: ChangeRequested) -> Answer:
        """What has ended stays as it is: another change of the same issue needs another ticket."""
        self.record("requested_again", issue=request.jira_issue, by=request.requested_by)
        reason = f"the change of {request.jira_issue} has ended as {self.state}; open another ticket"
        return to(self.occasion.sender, TaskDeclined(code="already_ended", reason=reason))

    @on(TaskCancelled, source=_LAST_STEPS)
    def too_late(self, order: TaskCancelled) -> None:
        """Nothing is left to cancel."""
        self.record("cancelled_too_late", reason=order.reason)

    @on(Timeout(OVERDUE), source=ANY_STATE, target=(ChangeStates.closing,))
    def overdue(self) -> tuple[Answer, ...]:
        """A deadline passed: tell people; when that passes as well, the change has expired."""
        state = self.table.states[self.state]
        if self.data.escalated:
            return (self.close(ChangeOutcome.EXPIRED, f"{state.waits_for} did not answer in {state.name}"),)
        return self._escalate()

    @on(Timeout(OVERDUE), source=_LAST_STEPS, target=_ENDS)
    def ticket_overdue(self) -> tuple[Answer, ...]:
        """The ticket was not closed in time."""
        if self.data.escalated:
            self.update(reason=f"{self.data.reason}; the ticket could not be closed in time")
            return (self.conclude(),)
        return self._escalate()

    def _escalate(self) -> tuple[Answer, ...]:
        state = self.table.states[self.state]
        grace = min(state.deadline or _LONGEST_GRACE, _LONGEST_GRACE)
        self.update(escalated=True)
        self.set_timer(OVERDUE, grace)
        self.stay()
        self.record("escalated", state=state.name, waits_for=state.waits_for)
        escalation = EscalationRaised(
            jira_issue=self.data.jira_issue,
            state=state.name,
            waiting_for=state.waits_for,
            deadline=self.occasion.now + timedelta(seconds=grace),
        )
        return (to(DEVOPS, escalation), to(CONSOLE, escalation), *self.reopen_gate())
