"""One step of a workflow: from stored state and message to new state, messages and timers; no I/O, no clock."""

from __future__ import annotations

__all__ = ["OVERDUE", "Occasion", "Workflow"]

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from interlock.agents.agent import Addressed, Answer, to
from interlock.agents.workflow.definition import State, Table, Timeout, Transition, Trigger, label
from interlock.bus.store.records import ApprovalRow, AuditEntry
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Message

OVERDUE = "overdue"
"""The timer that a state's deadline sets."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a step may know beside its message: when, by whom, and in which conversation."""

    now: datetime
    sender: str
    message_id: str
    conversation_id: str


DataT = TypeVar("DataT", bound=BaseModel)


@dataclass
class Changes:
    """What a step has asked for so far."""

    outgoing: list[Addressed] = field(default_factory=list[Addressed])
    timers: dict[str, datetime | None] = field(default_factory=dict[str, "datetime | None"])
    """Due time by name; None cancels."""
    approvals: list[ApprovalRow] = field(default_factory=list[ApprovalRow])
    audit: list[AuditEntry] = field(default_factory=list[AuditEntry])


class Workflow(Generic[DataT]):
    """A state machine, restored for one step. Subclasses declare states, steps, `kind` and `data_type`.

    A step sees `self.data` (frozen: replace it), `self.occasion` and its message; it returns messages, and may set
    timers, write approvals and audit lines. The same state, message and occasion always give the same result.
    """

    kind: ClassVar[str]
    data_type: ClassVar[type[BaseModel]]
    table: ClassVar[Table]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        namespace = {name: value for base in reversed(cls.__mro__) for name, value in vars(base).items()}
        cls.table = Table.of(namespace)

    def __init__(self, *, state: str, data: DataT, occasion: Occasion) -> None:
        self.state = state
        self.data = data
        self.occasion = occasion
        self.changes = Changes()
        self.trigger = ""
        """What the present step was triggered by, as diagrams call it."""
        self._chosen: State | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.occasion.conversation_id}, {self.state})"

    @property
    def ended(self) -> bool:
        """Whether the state is final: nothing moves it any more."""
        return self.table.states[self.state].final

    def goto(self, state: State) -> None:
        """Choose among the transition's targets; a step with several that chooses none stays where it is."""
        self._chosen = state

    def stay(self) -> None:
        """Remain in the present state, whatever target was declared."""
        self._chosen = self.table.states[self.state]

    def update(self, **members: Any) -> None:
        """Replace members of the data."""
        self.data = self.data.model_copy(update=members)

    def set_timer(self, name: str, seconds: float) -> None:
        """Be woken by `Timeout(name)`; an earlier timer of that name is replaced."""
        self.changes.timers[name] = self.occasion.now + timedelta(seconds=seconds)

    def cancel_timer(self, name: str) -> None:
        """Forget a timer; without one of that name nothing happens."""
        self.changes.timers[name] = None

    def record(self, action: str, **details: str) -> None:
        """Append a line to the audit trail."""
        self.changes.audit.append(
            AuditEntry(
                conversation_id=self.occasion.conversation_id,
                actor=self.occasion.sender,
                action=action,
                details=details,
            )
        )

    def write_approval(self, row: ApprovalRow) -> None:
        """Store an approval as it is from now on."""
        self.changes.approvals.append(row)

    def new_id(self, purpose: str) -> str:
        """Return an id that this occasion always gives for this purpose."""
        return derived_id(self.occasion.conversation_id, self.occasion.message_id, purpose)

    def react(self, message: Message) -> bool:
        """Take the step that this message triggers; returns whether there was one. Having none goes on record."""
        return self._step(type(message), message)

    def wake(self, timer: str) -> bool:
        """Take the step that this timer triggers; returns whether there was one. Having none goes on record."""
        return self._step(Timeout(timer), None)

    def _step(self, trigger: Trigger, message: Message | None) -> bool:
        transition = self.table.step(trigger, self.state)
        if transition is None:
            self.record("ignored", message=label(trigger), state=self.state)
            return False
        self._chosen = None
        self.trigger = label(trigger)
        answers = transition.step(self, message) if message is not None else transition.step(self)
        self.changes.outgoing.extend(_addressed(answers))
        self._enter(self._target(transition))
        return True

    def _target(self, transition: Transition) -> State | None:
        if self._chosen is None:
            return transition.targets[0] if len(transition.targets) == 1 else None
        if self._chosen.name == self.state:
            return None
        if self._chosen not in transition.targets:
            raise UsageError(f"{self!r}: {transition.label} may go to {transition.targets}, not to {self._chosen}")
        return self._chosen

    def _enter(self, state: State | None) -> None:
        if state is None or state.name == self.state:
            return
        self.state = state.name
        if state.deadline is None:
            self.cancel_timer(OVERDUE)
        else:
            self.set_timer(OVERDUE, state.deadline)
        self.entered(state)

    def entered(self, state: State) -> None:
        """Called after every change of state; for what belongs to entering rather than to one step."""


def _addressed(answers: Answer | Sequence[Answer] | None) -> Iterable[Addressed]:
    if answers is None:
        return
    for answer in answers if isinstance(answers, Sequence) else (answers,):
        if isinstance(answer, Addressed):
            yield answer
        else:
            receivers = sorted(answer.declaration.route.receivers)
            if len(receivers) != 1 or receivers == ["*"]:
                raise UsageError(f"{answer.declaration.type} may go to {receivers}: say which by to(receiver, message)")
            yield to(receivers[0], answer)
