"""How a change stands: as it was concluded, or, while it is not, what it waits for."""

from __future__ import annotations

__all__ = ["Standing"]

from collections.abc import Iterable
from typing import Any

from interlock.agents.report.approval import Approval
from interlock.bus.store.records import ApprovalState
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome
from interlock.protocol.messages.task import InputProvided, InputRequired, MissingInput
from interlock.protocol.values import Value


class Standing(Value):
    """The outcome with its reason."""

    outcome: ChangeOutcome
    reason: str
    missing: tuple[MissingInput, ...] = ()

    @classmethod
    def of(cls, envelopes: Iterable[Envelope[Any]], *, approvals: Iterable[Approval]) -> Standing:
        """Read the last word of the conversation; a change that neither ended nor waits for people has failed."""
        missing: tuple[MissingInput, ...] = ()
        for envelope in envelopes:
            match envelope.payload:
                case ChangeConcluded(outcome=outcome, reason=reason, missing=named):
                    return cls(outcome=outcome, reason=reason, missing=named)
                case InputRequired(missing=named):
                    missing = named
                case InputProvided():
                    missing = ()
                case _:
                    continue
        if missing:
            fields = ", ".join(fact.field for fact in missing)
            return cls(outcome=ChangeOutcome.INPUT_REQUIRED, reason=f"people have to tell: {fields}", missing=missing)
        waiting = [approval for approval in approvals if approval.state is ApprovalState.OPEN]
        if waiting:
            return cls(outcome=ChangeOutcome.WAITING_FOR_APPROVAL, reason=waiting[-1].summary)
        return cls(outcome=ChangeOutcome.FAILED, reason="the run ended before the change was concluded")
