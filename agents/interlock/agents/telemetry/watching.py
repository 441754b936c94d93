"""Has a process's agents looked at from outside while they work: probes, scrapes, pushed gauges; it runs no agent."""

from __future__ import annotations

__all__ = ["watched"]

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import anyio.to_thread

from interlock.agents.telemetry.health import HealthServer
from interlock.agents.telemetry.opening import Opened
from interlock.agents.telemetry.settings import HealthSettings
from interlock.agents.telemetry.standing import Standing
from interlock.bus.clock import Clock
from interlock.protocol.errors import UsageError

_LOOK = 10.0
"""Seconds between looks where measurements are pushed; where they are scraped, the scrape looks."""


@asynccontextmanager
async def watched(
    standings: Sequence[Standing], opened: Sequence[Opened], *, settings: HealthSettings, clock: Clock
) -> AsyncGenerator[HealthServer | None]:
    """Answer probes and scrapes while the context lasts; yields the server, None where none is to listen.

    Raises UsageError when the address is taken, or when Prometheus has no address to ask at.
    """
    readers = {one.telemetry.agent: one.reader for one in opened if one.reader is not None}
    if readers and settings.listen is None:
        raise UsageError("telemetry.metrics is prometheus, but nothing listens: set health.listen, e.g. 0.0.0.0:8080")
    pushing = [one for one in standings if one.telemetry.meters is not None and one.agent not in readers]

    async def metrics() -> bytes:
        from interlock.agents.telemetry.exposition import exposition  # an extra, needed by nobody else

        return await anyio.to_thread.run_sync(exposition, readers)

    async with AsyncExitStack() as stack:
        if pushing:
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(_look, pushing, clock)
        server = None
        if settings.listen is not None:
            server = HealthServer(standings, metrics=metrics if readers else None)
            await stack.enter_async_context(server.listening(settings.listen))
        yield server


async def _look(standings: Sequence[Standing], clock: Clock) -> None:
    while True:
        for standing in standings:
            await standing.look()
        await clock.sleep(_LOOK)
