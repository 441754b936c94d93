"""The way that one workflow has taken through its states, from its table and its audit trail; it draws nothing."""

from __future__ import annotations

__all__ = ["Visit", "path_taken"]

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from interlock.agents.workflow.definition import Table, Timeout, label
from interlock.bus.store.records import AuditRow
from interlock.protocol.message import ANY

_ENTERED = "entered"
"""The audit line of a change of state, with the state's name in its details."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay in one state."""

    state: str
    entered_at: datetime
    left_at: datetime | None = None
    """None: the workflow is there now, or has ended there."""
    by: str = ""
    """Whose message led here; the workflow's own agent for timers."""
    triggers: tuple[str, ...] = ()
    """What led here; where the trail does not say, what may have by the table."""
    time: int = 1
    """1 for the first stay in this state."""
    not_taken: tuple[str, ...] = ()
    """Where the table would have led from here as well; ways out that are open everywhere are left out."""

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None while it does."""
        return None if self.left_at is None else max(0.0, (self.left_at - self.entered_at).total_seconds())


def path_taken(table: Table, history: Iterable[AuditRow]) -> tuple[Visit, ...]:
    """Return the stays, oldest first; `history` is the workflow's audit trail in its order. Empty without one."""
    visits: list[Visit] = []
    times: Counter[str] = Counter()
    for row in history:
        if not visits:
            visits.append(Visit(table.initial.name, row.at))
            times[table.initial.name] = 1
        name = row.entry.details.get("state", "")
        if row.entry.action != _ENTERED or name not in table.states:
            continue
        before = visits[-1]
        visits[-1] = replace(before, left_at=row.at, not_taken=_others(table, before.state, taken=name))
        times[name] += 1
        told = row.entry.details.get("trigger")
        visits.append(
            Visit(
                name,
                row.at,
                by=row.entry.actor,
                triggers=(told,) if told else _triggers(table, before.state, name, by=row.entry.actor),
                time=times[name],
            )
        )
    if visits:
        last = visits[-1]
        visits[-1] = replace(last, not_taken=_others(table, last.state, taken=""))
    return tuple(visits)


def _triggers(table: Table, source: str, target: str, *, by: str) -> tuple[str, ...]:
    """Return what leads from one state to the other and may come from this sender; without any, whoever sends it."""
    leading = [
        transition.trigger
        for transition in table.transitions
        if target in {state.name for state in transition.targets}
        and source in ({state.name for state in transition.sources} or {source})
    ]
    possible = [
        trigger
        for trigger in leading
        if not isinstance(trigger, Timeout) and trigger.declaration.route.senders & {by, ANY}
    ]
    timers = [trigger for trigger in leading if isinstance(trigger, Timeout)]
    return tuple(dict.fromkeys(label(trigger) for trigger in possible or timers or leading))


def _others(table: Table, source: str, *, taken: str) -> tuple[str, ...]:
    named = {
        target.name: None
        for transition in table.transitions
        if source in {state.name for state in transition.sources}
        for target in transition.targets
    }
    return tuple(name for name in table.states if name in named and name not in {taken, source})
