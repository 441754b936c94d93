"""When a change entered each of its states, and where its time went; read from the audit trail, never estimated."""

from __future__ import annotations

__all__ = ["Durations", "StateEntry", "durations", "states_entered"]

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from interlock.agents.report.approval import Approval
from interlock.bus.store.records import AuditRow
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.change import ChangeConcluded
from interlock.protocol.messages.task import InputProvided, InputRequired
from interlock.protocol.roles import CONSOLE
from interlock.protocol.values import Timestamp, Value


class StateEntry(Value):
    """One state and the moment in which it was entered; a state may be entered more than once."""

    state: str
    at: Timestamp


class Durations(Value):
    """Where the time went, in seconds."""

    total: float
    """From starting the run to its end, with everything that was started and stopped around the change."""
    flow: float
    """From the change's first message to its conclusion, else to its last message."""
    by_state: dict[str, float]
    """Time spent in each state, over all its entries; final states take none."""
    waiting_for_people: float
    """The part of the flow in which an approval or an answer of a person was awaited."""


def states_entered(audit: Iterable[AuditRow]) -> tuple[StateEntry, ...]:
    """Return each state entered, in the order of the trail."""
    return tuple(
        StateEntry(state=row.entry.details["state"], at=row.at) for row in audit if row.entry.action == "entered"
    )


def durations(
    envelopes: Sequence[Envelope[Any]],
    *,
    states: Sequence[StateEntry],
    approvals: Iterable[Approval],
    started: datetime,
    ended: datetime,
) -> Durations:
    """Measure one run; what had no end by then counts up to the end of the run."""
    concluded = [e.sent_at for e in envelopes if isinstance(e.payload, ChangeConcluded)]
    stopped = concluded[-1] if concluded else ended
    first = envelopes[0].sent_at if envelopes else stopped
    last = concluded[-1] if concluded else max((e.sent_at for e in envelopes), default=stopped)
    by_state: dict[str, float] = {}
    for entry, following in pairwise([*states, StateEntry(state="", at=stopped)]):
        by_state[entry.state] = by_state.get(entry.state, 0.0) + _seconds(entry.at, following.at)
    decisions = sum(_seconds(a.requested_at, a.decided_at or stopped) for a in approvals)
    return Durations(
        total=_seconds(started, ended),
        flow=_seconds(first, last),
        by_state={state: round(spent, 3) for state, spent in by_state.items()},
        waiting_for_people=round(decisions + _answering(envelopes, stopped), 3),
    )


def _answering(envelopes: Iterable[Envelope[Any]], stopped: datetime) -> float:
    """Return the seconds in which facts were awaited from people."""
    asked: datetime | None = None
    total = 0.0
    for envelope in envelopes:
        if isinstance(envelope.payload, InputRequired) and envelope.receiver == CONSOLE:
            asked = asked or envelope.sent_at
        elif asked is not None and isinstance(envelope.payload, InputProvided | ChangeConcluded):
            total, asked = total + _seconds(asked, envelope.sent_at), None
    return total + (_seconds(asked, stopped) if asked is not None else 0.0)


def _seconds(earlier: datetime, later: datetime) -> float:
    """Return seconds, never negative: the clocks of several processes may differ by a little."""
    return round(max((later - earlier).total_seconds(), 0.0), 3)
