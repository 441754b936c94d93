"""Approvals: asked for a digest, judged when they come, used once, refused on record."""

from __future__ import annotations

__all__ = ["Gates"]

import unicodedata
from datetime import timedelta

from interlock.agents.agent import Answer
from interlock.agents.coordinator.data import Gate
from interlock.agents.coordinator.states import ChangeStates
from interlock.agents.workflow import ANY_STATE, on
from interlock.bus.store.records import ApprovalRow, ApprovalState
from interlock.protocol.message import minutes
from interlock.protocol.messages.approval import (
    ApprovalDenied,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequest,
    ApprovalSubject,
    Risk,
)
from interlock.protocol.messages.change import ChangeOutcome
from interlock.protocol.messages.provisioning import InfrastructureApply
from interlock.protocol.roles import ALL_ROLES
from interlock.protocol.values import Environment

APPROVAL_LIFETIME = minutes(30)
"""Seconds for which an approval may be given and used."""

POLICY = "policy:non-production"
"""Who approves outside production: the rule that a plan which security has approved may be applied there."""


class Gates(ChangeStates):
    """The steps in which people decide."""

    @on(ApprovalGranted, source=ChangeStates.over_budget, target=ChangeStates.estimated)
    @on(ApprovalGranted, source=ChangeStates.verified_test, target=ChangeStates.approved)
    def granted(self, decision: ApprovalGranted) -> Answer | None:
        """A person said yes; it counts when it is for this digest, in time, unused, and not the author's own."""
        refusal = self._refusal(decision)
        if refusal is not None:
            return self._refuse(decision, *refusal)
        gate = self.data.gates[decision.approval_id]
        self._use(gate, approver=decision.approver)
        self.record("approved", subject=gate.subject, digest=gate.digest, approver=decision.approver)
        if gate.subject is ApprovalSubject.BUDGET:
            self.goto(self.estimated)
            return self.order_plan()
        self.update(approved_by=decision.approver)
        self.goto(self.approved)
        return self.order_apply(gate, approver=decision.approver)

    @on(ApprovalDenied, source=(ChangeStates.over_budget, ChangeStates.verified_test), target=ChangeStates.closing)
    def denied(self, decision: ApprovalDenied) -> Answer | None:
        """A person said no, which ends the change."""
        refusal = self._refusal(decision)
        if refusal is not None:
            return self._refuse(decision, *refusal)
        gate = self.data.gates[decision.approval_id]
        self._store(gate, ApprovalState.DENIED, approver=decision.approver, reason=decision.reason)
        return self.close(
            ChangeOutcome.DECLINED, f"{decision.approver} denied the {gate.subject} approval: {decision.reason}"
        )

    @on(ApprovalGranted, ApprovalDenied, source=ANY_STATE)
    def out_of_place(self, decision: ApprovalGranted | ApprovalDenied) -> Answer:
        """A decision that nobody waits for."""
        code, reason = self._refusal(decision) or ("not_awaited", f"nothing waits for an approval in {self.state}")
        return self._refuse(decision, code, reason)

    def open_gate(self, subject: ApprovalSubject, digest: str, summary: str, *, risk: Risk) -> ApprovalRequest:
        """Ask people about one digest."""
        now = self.occasion.now
        gate = Gate(
            id=self.new_id(f"approval:{subject}"),
            subject=subject,
            digest=digest,
            environment=self.spec.environment,
            author=self.data.author,
            summary=summary,
            requested_at=now,
            expires_at=now + timedelta(seconds=APPROVAL_LIFETIME),
        )
        self._store(gate, ApprovalState.OPEN)
        return ApprovalRequest(
            approval_id=gate.id,
            jira_issue=self.data.jira_issue,
            subject=subject,
            digest=digest,
            environment=gate.environment,
            risk=risk,
            summary=summary,
            author=self.data.author,
            expires_at=gate.expires_at,
        )

    def reopen_gate(self) -> tuple[Answer, ...]:
        """Replace what nobody has decided in time by a fresh request for the same digest."""
        overdue = [gate for gate in self.data.gates.values() if gate.state is ApprovalState.OPEN]
        self.void_gates("nobody decided in time; asked again")
        return tuple(self.open_gate(g.subject, g.digest, g.summary, risk=Risk.HIGH) for g in overdue)

    def approve_by_policy(self, environment: Environment, digest: str) -> InfrastructureApply:
        """Open the gate of an environment other than production; on record like any approval."""
        assert environment is not Environment.PRODUCTION, "production is approved by people"
        now = self.occasion.now
        gate = Gate(
            id=self.new_id(f"approval:{environment}"),
            subject=ApprovalSubject.PLAN,
            digest=digest,
            environment=environment,
            author=self.data.author,
            summary=f"Apply to {environment}, after security has approved the plan",
            requested_at=now,
            expires_at=now + timedelta(seconds=APPROVAL_LIFETIME),
        )
        self._store(gate, ApprovalState.OPEN)
        self._use(gate, approver=POLICY)
        self.update(approved_by=POLICY)
        return self.order_apply(gate, approver=POLICY)

    def order_apply(self, gate: Gate, *, approver: str) -> InfrastructureApply:
        """Order exactly what was approved."""
        self.update(stage=gate.environment)
        spec = self.spec if gate.environment is self.spec.environment else self.spec.rehearsal()
        return InfrastructureApply(
            jira_issue=self.data.jira_issue,
            environment=gate.environment,
            spec=spec,
            plan_digest=gate.digest,
            revision=self.plan.revision,
            terraform=self.plan.terraform,
            approval_id=gate.id,
            approved_by=approver,
            approval_expires_at=gate.expires_at,
        )

    def void_gates(self, reason: str) -> None:
        """Close every gate that is still open: a grant that comes later is refused."""
        for gate in self.data.gates.values():
            if gate.state is ApprovalState.OPEN:
                self._store(gate, ApprovalState.VOID, reason=reason)

    def _refusal(self, decision: ApprovalGranted | ApprovalDenied) -> tuple[str, str] | None:
        gate = self.data.gates.get(decision.approval_id)
        people = {_account(name) for name in (self.data.author, self.data.requested_by) if name}
        approver = _account(decision.approver)
        if gate is None:
            return "unknown_approval", "no such approval was asked for in this change"
        if approver in {*ALL_ROLES, POLICY} or approver.endswith("-agent"):
            return "not_a_person", "agents do not approve"
        if approver in people:
            return "own_change", f"{decision.approver} asked for this change; someone else must decide"
        if gate.state is not ApprovalState.OPEN:
            return f"already_{gate.state}", f"this approval is {gate.state} and can not be decided again"
        if decision.digest != gate.digest or decision.subject is not gate.subject:
            return "other_digest", "the decision is for another digest than the one that was asked about"
        if self.occasion.now >= gate.expires_at:
            return "expired", f"this approval could be given until {gate.expires_at.isoformat(timespec='seconds')}"
        return None

    def _refuse(self, decision: ApprovalGranted | ApprovalDenied, code: str, reason: str) -> ApprovalRefused:
        self.stay()
        self.record(
            "approval_refused",
            approval=decision.approval_id,
            approver=decision.approver,
            code=code,
            digest=decision.digest,
        )
        return ApprovalRefused(approval_id=decision.approval_id, approver=decision.approver, code=code, reason=reason)

    def _use(self, gate: Gate, *, approver: str) -> None:
        """Grant and use in one step: what it allows is ordered in the same transaction."""
        self._store(gate, ApprovalState.GRANTED, approver=approver)
        self._store(gate, ApprovalState.USED, approver=approver)

    def _store(
        self, gate: Gate, state: ApprovalState, *, approver: str | None = None, reason: str | None = None
    ) -> None:
        gate = gate.model_copy(update={"state": state})
        self.update(gates={**self.data.gates, gate.id: gate})
        self.write_approval(
            ApprovalRow(
                id=gate.id,
                conversation_id=self.occasion.conversation_id,
                subject=gate.subject,
                digest=gate.digest,
                environment=gate.environment,
                author=gate.author,
                summary=gate.summary,
                state=state,
                requested_at=gate.requested_at,
                expires_at=gate.expires_at,
                approver=approver,
                decided_at=None if state is ApprovalState.OPEN else self.occasion.now,
                reason=reason,
            )
        )


def _account(name: str) -> str:
    """Return a name as accounts are told apart: not by case, blanks or the width of letters."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
