"""Has a process's agents looked at from outside while they work: probes, scrapes, pushed gauges; it runs no agent."""

from __future__ import annotations

__all__ = ["watched"]

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from interlock.agents.telemetry.health import HealthServer
from interlock.agents.telemetry.opening import Opened
from interlock.agents.telemetry.settings import HealthSettings
from interlock.agents.telemetry.standing import Standing
from interlock.bus.clock import Clock
from interlock.protocol.errors import UsageError

if TYPE_CHECKING:  # an extra, which is imported only when something is on
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

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

    async with AsyncExitStack() as stack:
        if pushing:
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(_look, pushing, clock)
        server = None
        if settings.listen is not None:
            server = HealthServer(standings, metrics=_exposed(readers) if readers else None)
            await stack.enter_async_context(server.listening(settings.listen))
        yield server


def _exposed(readers: Mapping[str, InMemoryMetricReader]) -> Callable[[], Awaitable[bytes]]:
    try:
        from interlock.agents.telemetry.exposition import exposition
    except ImportError as error:
        raise UsageError("prometheus-client is not installed: pip install 'interlock[telemetry]'") from error

    async def metrics() -> bytes:
        return await anyio.to_thread.run_sync(exposition, readers)

    return metrics


async def _look(standings: Sequence[Standing], clock: Clock) -> None:
    while True:
        for standing in standings:
            await standing.look()
        await clock.sleep(_LOOK)
