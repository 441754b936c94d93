"""The states of a change, in the order of the specification's process, and what every phase needs of them."""

from __future__ import annotations

__all__ = ["PEERS", "ChangeStates"]

from typing import ClassVar

from pydantic import BaseModel

from interlock.agents.agent import Answer
from interlock.agents.coordinator.data import ChangeData
from interlock.agents.workflow import State, Workflow
from interlock.bus.store.records import ApprovalState
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.message import days, hours, minutes
from interlock.protocol.messages.change import ChangeOutcome, TicketCloseRequest
from interlock.protocol.messages.provisioning import PlanReady, PlanRequest
from interlock.protocol.roles import BACKEND, DEPLOY, DEVOPS, QA, SECURITY

PEERS = (BACKEND, SECURITY, QA, DEPLOY)
"""Who has to accept before a change is accepted."""

MAX_REPLANS = 3
"""How often drift or an unknown apply may lead to a new plan before people have to look."""

_APPROVER = "an approver"


class ChangeStates(Workflow[ChangeData]):
    """Where a change can be. A state with a deadline escalates when it passes, and expires after a grace period."""

    kind = "change"
    data_type: ClassVar[type[BaseModel]] = ChangeData

    received = State(initial=True)
    analysing = State(deadline=minutes(10), waits_for=DEVOPS)
    input_required = State(deadline=days(3), waits_for="the reporter")
    over_budget = State(deadline=minutes(30), waits_for=_APPROVER)
    estimated = State(deadline=minutes(20), waits_for=DEVOPS)
    in_progress = State(deadline=minutes(20), waits_for=DEVOPS)
    coded = State(deadline=minutes(20), waits_for=DEVOPS)
    planned = State(deadline=hours(4), waits_for=SECURITY)
    in_review = State(deadline=hours(4), waits_for=SECURITY)
    approved_test = State(deadline=hours(1), waits_for=DEVOPS)
    applied_test = State(deadline=minutes(15), waits_for=DEVOPS)
    verified_test = State(deadline=minutes(30), waits_for=_APPROVER)
    approved = State(deadline=hours(1), waits_for=DEVOPS)
    applying = State(deadline=hours(1), waits_for=DEVOPS)
    apply_unknown = State(deadline=minutes(15), waits_for=DEVOPS)
    applied = State(deadline=minutes(15), waits_for=DEVOPS)
    verified = State(deadline=minutes(15), waits_for=DEVOPS)
    monitored = State(deadline=minutes(15), waits_for=DEVOPS)
    documented = State(deadline=minutes(15), waits_for=DEVOPS)
    handed_off = State(deadline=minutes(45), waits_for=", ".join(PEERS))
    accepted = State(deadline=minutes(15), waits_for=DEVOPS)
    closing = State(deadline=minutes(15), waits_for=DEVOPS)
    done = State(final=True)
    declined = State(final=True)
    expired = State(final=True)
    failed = State(final=True)

    @property
    def spec(self) -> DatabaseSpec:
        """The specification, from analysis on."""
        assert self.data.spec is not None, f"{self!r} has no specification yet"
        return self.data.spec

    @property
    def plan(self) -> PlanReady:
        """The plan, from planning on."""
        assert self.data.plan is not None, f"{self!r} has no plan yet"
        return self.data.plan

    def is_from(self, *agents: str) -> bool:
        """Return whether one of these has sent the message; anyone else's goes on record, and the state stays."""
        if self.occasion.sender in agents:
            return True
        self.record("not_theirs_to_say", state=self.state)
        self.stay()
        return False

    def entered(self, state: State) -> None:
        """Every state starts without an escalation."""
        self.update(escalated=False)
        self.record("entered", state=state.name, trigger=self.trigger)

    def order_plan(self) -> PlanRequest:
        """Ask for code and plan; approvals of an earlier plan are void."""
        self.void_gates("a new plan is made")
        return PlanRequest(jira_issue=self.data.jira_issue, spec=self.spec)

    def plan_again(self, reason: str) -> Answer:
        """Ask for a new plan because the world is not what the old one was made for; at most a few times."""
        if self.data.replans >= MAX_REPLANS:
            return self.close(
                ChangeOutcome.FAILED, f"planned {MAX_REPLANS + 1} times in vain, people must look: {reason}"
            )
        self.update(replans=self.data.replans + 1, stage=None)
        self.record("planned_again", reason=reason)
        self.goto(self.in_progress)
        return self.order_plan()

    def close(self, outcome: ChangeOutcome, reason: str) -> TicketCloseRequest:
        """End the change: the ticket is told first."""
        self.void_gates("the change has ended")
        self.update(outcome=outcome, reason=reason)
        self.goto(self.closing)
        data = self.data
        return TicketCloseRequest(
            jira_issue=data.jira_issue,
            outcome=outcome,
            reason=reason,
            spec=data.spec,
            estimate=data.estimate,
            plan_digest=data.plan.plan_digest if data.plan else None,
            page_url=data.page_url,
            checks=data.checks,
            alarms=data.alarms,
            missing=data.missing,
        )

    def void_gates(self, reason: str) -> None:
        """Close every gate that is still open: a grant that comes later is refused. Overridden by the gates."""
        raise NotImplementedError

    def gate_states(self, *states: ApprovalState) -> tuple[str, ...]:
        """Return the ids of gates in these states."""
        return tuple(gate.id for gate in self.data.gates.values() if gate.state in states)
