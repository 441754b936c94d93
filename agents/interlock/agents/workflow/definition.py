"""States and transitions as data, from which steps are taken and diagrams are drawn; it knows no storage."""

from __future__ import annotations

__all__ = ["ANY_STATE", "State", "Table", "Timeout", "Transition", "Trigger", "label", "on"]

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from interlock.protocol.errors import UsageError
from interlock.protocol.message import Message


class State:
    """A state of a workflow, named after the attribute that it is assigned to."""

    def __init__(
        self, *, initial: bool = False, final: bool = False, deadline: float | None = None, waits_for: str = ""
    ) -> None:
        """`deadline` is in seconds from entering the state; past it the workflow's `overdue` is asked what to do."""
        self.name = ""
        self.initial = initial
        self.final = final
        self.deadline = deadline
        self.waits_for = waits_for

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"State({self.name})"


@dataclass(frozen=True, slots=True)
class Timeout:
    """The trigger of a timer that the workflow has set under this name."""

    name: str


ANY_STATE: tuple[State, ...] = ()
"""As a source: every state between the initial and the final ones without a transition of its own for the trigger."""

Trigger: TypeAlias = "type[Message] | Timeout"
StepT = TypeVar("StepT", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Transition:
    """What a trigger does in some states. With several targets the step chooses by `goto`."""

    trigger: Trigger
    sources: tuple[State, ...]
    targets: tuple[State, ...]
    step: Callable[..., Any] = field(repr=False)

    @property
    def label(self) -> str:
        """The trigger's name for people."""
        return label(self.trigger)


def label(trigger: Trigger) -> str:
    """Return what triggers are called in diagrams, audit lines and errors."""
    return f"timeout: {trigger.name}" if isinstance(trigger, Timeout) else trigger.declaration.type


def on(
    *triggers: Trigger, source: State | Iterable[State], target: State | Iterable[State] | None = None
) -> Callable[[StepT], StepT]:
    """Declare a step. Without a target the state stays; with several the step calls `goto`, or stays."""
    sources = (source,) if isinstance(source, State) else tuple(source)
    targets = () if target is None else (target,) if isinstance(target, State) else tuple(target)

    def mark(step: StepT) -> StepT:
        declared: list[Transition] = getattr(step, "transitions", [])
        step.transitions = [*declared, *(Transition(t, sources, targets, step) for t in triggers)]  # type: ignore[attr-defined]
        return step

    return mark


@dataclass(frozen=True)
class Table:
    """The transitions of one workflow class, by trigger and state."""

    states: Mapping[str, State]
    transitions: tuple[Transition, ...]
    _steps: Mapping[tuple[str, str], Transition]

    @classmethod
    def of(cls, namespace: Mapping[str, Any]) -> Table:
        """Collect a class body. Raises UsageError when a trigger has two steps in a state, or no state is initial."""
        states = {name: value for name, value in namespace.items() if isinstance(value, State)}
        transitions = tuple(
            t for value in namespace.values() if callable(value) for t in getattr(value, "transitions", ())
        )
        steps: dict[tuple[str, str], Transition] = {}
        for transition in transitions:
            for source in transition.sources:
                key = (label(transition.trigger), source.name)
                if key in steps:
                    raise UsageError(f"{key[0]} has two steps in state {key[1]}")
                steps[key] = transition
        for transition in transitions:
            if transition.sources == ANY_STATE:
                for name, state in states.items():
                    if not state.final and not state.initial:
                        steps.setdefault((label(transition.trigger), name), transition)
        if sum(state.initial for state in states.values()) != 1:
            raise UsageError("a workflow has exactly one initial state")
        return cls(states, transitions, steps)

    @property
    def initial(self) -> State:
        """Where a new workflow begins."""
        return next(state for state in self.states.values() if state.initial)

    def messages(self) -> tuple[type[Message], ...]:
        """Return the message classes that some state reacts to, without doubles."""
        found = {t.trigger: None for t in self.transitions if not isinstance(t.trigger, Timeout)}
        return tuple(found)

    def timers(self) -> tuple[str, ...]:
        """Return the names of the timers that some state reacts to, without doubles."""
        return tuple({t.trigger.name: None for t in self.transitions if isinstance(t.trigger, Timeout)})

    def step(self, trigger: Trigger, state: str) -> Transition | None:
        """Return what a trigger does in a state."""
        return self._steps.get((label(trigger), state))
