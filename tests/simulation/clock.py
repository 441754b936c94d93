"""An agent's clock: the loop's time, and a wall clock that can be set wrong; it knows nothing else."""

from __future__ import annotations

__all__ = ["SteppedClock"]

import asyncio
from datetime import UTC, datetime, timedelta

import anyio.lowlevel

from simulation.event_loop import VirtualLoop

_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class SteppedClock:
    """Implements `Clock`."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.skew = 0.0
        """Seconds by which the wall clock is wrong."""

    def now(self) -> datetime:
        return _START + timedelta(seconds=self._loop.time() + self.skew)

    def monotonic(self) -> float:
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
        else:
            await asyncio.sleep(seconds)
