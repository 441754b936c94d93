"""Steps a workflow through messages and time; no store, no broker, no event loop."""

from __future__ import annotations

__all__ = ["WorkflowTester"]

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

from interlock.agents.agent import Addressed
from interlock.agents.testing.agent_tester import sole_sender
from interlock.agents.timer import TIMER
from interlock.agents.workflow import Occasion, Workflow
from interlock.bus.store.records import ApprovalRow, AuditEntry
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Message

DataT = TypeVar("DataT", bound=BaseModel)


class WorkflowTester(Generic[DataT]):
    """One conversation of a workflow: tell it messages and let time pass, then look at where it stands.

    ```python
    change = WorkflowTester(Change).given(requested, analysed, estimate)
    change.advance(hours(4))
    assert change.messages[-1] == EscalationRaised(...)
    ```
    Steps are taken as in production, each from stored state and one message; ids and times are the same in every run.
    """

    def __init__(
        self, kind: type[Workflow[DataT]], *, conversation_id: str | None = None, start: datetime | None = None
    ) -> None:
        self.kind = kind
        self.state = kind.table.initial.name
        self.data: DataT = kind.data_type()  # type: ignore[assignment]
        self.now = start or datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        self.conversation_id = conversation_id or derived_id("conversation", kind.kind)
        self.sent: list[Addressed] = []
        """Everything that it has sent so far, oldest first."""
        self.timers: dict[str, datetime] = {}
        """When it will be woken, by name."""
        self.approvals: dict[str, ApprovalRow] = {}
        self.audit: list[AuditEntry] = []
        self._steps = 0

    def __repr__(self) -> str:
        return f"WorkflowTester({self.kind.__name__}, {self.state}, sent={len(self.sent)})"

    @property
    def ended(self) -> bool:
        """Whether it is in a final state."""
        return self.kind.table.states[self.state].final

    @property
    def messages(self) -> list[Message]:
        """What was sent, without receivers."""
        return [addressed.message for addressed in self.sent]

    def given(self, *messages: Message) -> Self:
        """Tell it messages, each from the only sender that its route allows."""
        for message in messages:
            self.receives(message)
        return self

    def receives(self, message: Message, *, sender: str | None = None) -> list[Message]:
        """Tell it one message; returns what it sends. One that the state cannot use changes nothing."""
        return self._step(lambda workflow: workflow.react(message), sender=sender or sole_sender(message))

    def advance(self, seconds: float) -> list[Message]:
        """Let time pass, with every timer at its moment; returns what it sends meanwhile."""
        end, already = self.now + timedelta(seconds=seconds), len(self.sent)
        while self.timers:
            name = min(self.timers, key=lambda timer: (self.timers[timer], timer))
            if self.timers[name] > end:
                break
            self.now = max(self.now, self.timers.pop(name))
            self._step(lambda workflow, timer=name: workflow.wake(timer), sender=TIMER)  # type: ignore[misc]
        self.now = end
        return self.messages[already:]

    def _step(self, step: Callable[[Workflow[DataT]], bool], *, sender: str) -> list[Message]:
        self._steps += 1
        message_id = f"00000000-0000-4000-8000-{self._steps:012x}"
        occasion = Occasion(self.now, sender, message_id, self.conversation_id)
        workflow = self.kind(state=self.state, data=self.data, occasion=occasion)
        taken, changes = step(workflow), workflow.changes
        if not taken:
            self.audit += changes.audit
            return []
        self.state, self.data = workflow.state, workflow.data
        self.sent += changes.outgoing
        self.audit += changes.audit
        self.approvals |= {row.id: row for row in changes.approvals}
        for name, due in changes.timers.items():
            if due is None:
                self.timers.pop(name, None)
            else:
                self.timers[name] = due
        return [addressed.message for addressed in changes.outgoing]
