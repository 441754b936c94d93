"""The only source of time: now, sleep and deadlines; nothing else asks the system clock.

Tests use `VirtualClock`: it moves only when told to, so that hours pass in no time and in the same order every run.
"""

from __future__ import annotations

__all__ = ["Clock", "SystemClock", "VirtualClock"]

import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

import anyio
import anyio.lowlevel


class Clock(Protocol):
    """What the product knows of time."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after this many seconds; at once, but after a checkpoint, when they are not positive."""
        ...


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the system's monotonic clock, in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the event loop."""
        await anyio.sleep(max(0.0, seconds))


class VirtualClock:
    """Time that stands still until `advance`; sleepers wake in the order of their moments."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._order = itertools.count()

    def __repr__(self) -> str:
        return f"VirtualClock(now={self.now().isoformat()}, sleepers={len(self._sleepers)})"

    def now(self) -> datetime:
        """Return the start moved on by what was advanced."""
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Return once `advance` has passed the moment."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        woken = anyio.Event()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own moment and letting it run before the next one.

        `seconds` must not be negative.
        """
        target = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            moment, _, woken = heapq.heappop(self._sleepers)
            self._elapsed = max(self._elapsed, moment)
            woken.set()
            await _settle()
        self._elapsed = target
        await _settle()


async def _settle() -> None:
    """Let every task that can run do so, as far as in-process work goes."""
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
