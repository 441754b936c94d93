"""Plays the people of a demonstration: answers questions and decides about approvals, or leaves them waiting."""

from __future__ import annotations

__all__ = ["Ask", "People"]

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalGranted, ApprovalRequest, ApprovalSubject, Risk
from interlock.protocol.messages.task import InputProvided, InputRequired

OPERATOR = "operator"
BUDGET_OWNER = "budget-owner"

Ask: TypeAlias = "Callable[[str], Awaitable[bool | None]]"
"""Asks at the terminal; None when nobody is there."""


class People:
    """Decides as `--approve` and `--answers` say."""

    def __init__(self, *, answers: Mapping[str, str] | None, ask: Ask | None) -> None:
        """`ask` None approves automatically: plans always, overruns of the budget unless their risk is high."""
        self._answers = dict(answers) if answers else None
        self._ask = ask

    def __repr__(self) -> str:
        return f"People(answers={self._answers is not None}, asks={self._ask is not None})"

    async def answer(self, question: InputRequired) -> Message | None:
        """Return the answers, once; None when there are none for what is missing."""
        if self._answers is None:
            return None
        given = {gap.field: self._answers.pop(gap.field) for gap in question.missing if gap.field in self._answers}
        return InputProvided(answers=given) if given else None

    async def decide(self, request: ApprovalRequest) -> Message | None:
        """Return the decision, or None when the request stays open."""
        approver = BUDGET_OWNER if request.subject is ApprovalSubject.BUDGET else OPERATOR
        if self._ask is None:
            decision = True if request.subject is ApprovalSubject.PLAN or request.risk is not Risk.HIGH else None
        else:
            decision = await self._ask(request.summary)
        if decision is None:
            return None
        if not decision:
            return ApprovalDenied(
                approval_id=request.approval_id,
                subject=request.subject,
                digest=request.digest,
                approver=approver,
                reason="denied at the terminal",
            )
        return ApprovalGranted(
            approval_id=request.approval_id, subject=request.subject, digest=request.digest, approver=approver
        )
