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
from interlock.protocol.messages.change import ChangeOutcome, EscalationRaised
from interlock.protocol.messages.task import MessageRejected, TaskCancelled, TaskDeclined, TaskFailed
from interlock.protocol.roles import CONSOLE, DEVOPS

_LONGEST_GRACE = hours(1)
_LAST_STEPS = (ChangeStates.accepted, ChangeStates.closing)
_ENDS = (ChangeStates.done, ChangeStates.declined, ChangeStates.expired, ChangeStates.failed)


class Change(Preparation, Execution, Handover):
    """One change. The phases hold the steps of the way forward; here are the ways out of every state."""

    @on(TaskDeclined, source=ANY_STATE, target=ChangeStates.closing)
    def refused(self, answer: TaskDeclined) -> Answer:
        """An agent will not do it."""
        return self.close(ChangeOutcome.DECLINED, f"{self.occasion.sender}: {answer.reason} ({answer.code})")

    @on(TaskFailed, MessageRejected, source=ANY_STATE, target=ChangeStates.closing)
    def broke(self, answer: TaskFailed | MessageRejected) -> Answer:
        """An agent tried and failed."""
        return self.close(ChangeOutcome.FAILED, f"{self.occasion.sender}: {answer.reason} ({answer.code})")

    @on(TaskCancelled, source=ANY_STATE, target=ChangeStates.closing)
    def cancelled(self, order: TaskCancelled) -> Answer:
        """The requester no longer wants it."""
        return self.close(ChangeOutcome.DECLINED, f"cancelled: {order.reason}")

    @on(TaskDeclined, TaskFailed, MessageRejected, source=_LAST_STEPS, target=_ENDS)
    def ticket_not_closed(self, answer: TaskDeclined | TaskFailed | MessageRejected) -> Answer:
        """The ticket could not be told; the change has ended all the same, and says so."""
        self.update(reason=f"{self.data.reason}; the ticket could not be closed: {answer.reason} ({answer.code})")
        return self.conclude()

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
