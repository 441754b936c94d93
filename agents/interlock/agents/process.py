"""Runs agents as one process over the broker of the settings, until SIGTERM or SIGINT; it builds none itself."""

from __future__ import annotations

__all__ = ["declare_if_permitted", "run_agents", "serve"]

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import anyio

from interlock.agents.agent import Agent
from interlock.agents.blueprint import own_topology
from interlock.agents.runtime import Runtime
from interlock.agents.settings import Settings, TopologySettings
from interlock.agents.telemetry.logs import configure
from interlock.agents.telemetry.opening import Opened, open_telemetry
from interlock.agents.telemetry.standing import Standing
from interlock.agents.telemetry.watching import watched
from interlock.bus.clock import SystemClock
from interlock.bus.errors import NotPermittedError
from interlock.bus.store.opening import open_store
from interlock.bus.transport import Transport
from interlock.protocol.errors import InterlockError, UsageError

_log = logging.getLogger(__name__)


def run_agents(agents: Sequence[Agent], *, settings: Settings | None = None) -> None:
    """Run until SIGTERM or SIGINT, then leave in good order. Exits with 1 and one line when that is impossible."""
    try:
        settings = settings or Settings.load()
        configure(settings.logging)
        anyio.run(serve, agents, settings)
    except* InterlockError as group:
        sys.exit("\n".join(str(error) for error in _leaves(group)))


async def serve(agents: Sequence[Agent], settings: Settings, *, started: Callable[[], None] | None = None) -> None:
    """Run agents over RabbitMQ until a signal; `started` is called once all of them take messages in."""
    from interlock.bus.rabbitmq.transport import RabbitTransport  # only a process over RabbitMQ needs its client

    clock = SystemClock()
    await _make_folder(anyio.Path(settings.state_dir))
    async with AsyncExitStack() as stack:
        runtimes: list[Runtime] = []
        telemetries: list[Opened] = []
        standings: list[Standing] = []
        for agent in agents:
            transport = await RabbitTransport.connect(
                settings.broker_urls(agent.name), identity=agent.name, clock=clock, client=settings.broker.client
            )
            stack.push_async_callback(transport.aclose)
            await declare_if_permitted(transport, agent, settings=settings.topology)
            store = await open_store(settings.store_address(agent.name), agent=agent.name, clock=clock)
            stack.push_async_callback(store.aclose)
            opened = await stack.enter_async_context(
                open_telemetry(
                    settings.telemetry,
                    agent=agent.name,
                    version=agent.version,
                    system=transport.features.name,
                    clock=clock,
                )
            )
            telemetries.append(opened)
            runtime = Runtime(
                agent,
                transport=transport,
                store=store,
                clock=clock,
                settings=settings.runtime,
                telemetry=opened.telemetry,
            )
            runtimes.append(runtime)
            standings.append(Standing(agent.name, runtime, transport, store, opened.telemetry))
        await stack.enter_async_context(watched(standings, telemetries, settings=settings.health, clock=clock))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, runtimes, tasks.cancel_scope)
            async with anyio.create_task_group() as running:
                events = [anyio.Event() for _ in runtimes]
                for runtime, ready in zip(runtimes, events, strict=True):
                    running.start_soon(_run, runtime, ready)
                for ready in events:
                    await ready.wait()
                _log.info("%s: taking messages", ", ".join(agent.name for agent in agents))
                if started is not None:
                    started()
            tasks.cancel_scope.cancel()


async def declare_if_permitted(
    transport: Transport,
    agent: Agent,
    *,
    settings: TopologySettings = TopologySettings(),  # noqa: B008 - frozen
) -> None:
    """Declare the agent's own queues, unless this user may not: then whoever deployed the broker has done so.

    Raises UsageError, saying what to do, when a queue exists with other arguments.
    """
    try:
        await transport.declare(own_topology(agent.name, agent.announcements, settings))
    except NotPermittedError:
        _log.info("%s may not declare queues; it uses those that were declared for it", agent.name)


async def _make_folder(folder: anyio.Path) -> None:
    try:
        await folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the state_dir {folder} cannot be made: {error.strerror}; name another folder") from error


async def _run(runtime: Runtime, ready: anyio.Event) -> None:
    await runtime.run(ready=ready)


async def _stop_on_signal(runtimes: Sequence[Runtime], scope: anyio.CancelScope) -> None:
    """The first signal asks for an orderly end, a second one ends at once."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if all(runtime.is_stopping for runtime in runtimes):
                scope.cancel()
                return
            _log.info("%s: stopping", signal.Signals(number).name)
            for runtime in runtimes:
                runtime.stop()


def _leaves(group: BaseExceptionGroup[InterlockError]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
