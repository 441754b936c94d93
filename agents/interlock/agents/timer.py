"""What a handler is given when a timer fires; it never travels, and is therefore in no catalogue."""

from __future__ import annotations

__all__ = ["TIMER", "TimerFired"]

from interlock.protocol.message import ANY, Event, Route
from interlock.protocol.values import ShortText

TIMER = "timer"
"""The inbox type under which a store delivers timers."""


class TimerFired(Event, type=TIMER, route=Route.of(ANY, ANY)):
    """The moment that a commit has set under this name is reached, or passed while the agent was away."""

    name: ShortText
