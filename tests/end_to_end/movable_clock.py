"""The system's time, moved on by a test: for deadlines of a team that otherwise works in real time."""

from __future__ import annotations

__all__ = ["MovableClock"]

from datetime import datetime, timedelta

from interlock.bus.clock import SystemClock


class MovableClock(SystemClock):
    """The system's time, moved on by what a test says."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self._ahead

    def move(self, *, minutes: float) -> None:
        self._ahead += timedelta(minutes=minutes)
