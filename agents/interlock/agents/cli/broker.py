"""The command line's own connection to the broker of the settings; it knows no command."""

from __future__ import annotations

__all__ = ["connected", "telling"]

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from urllib.parse import urlsplit

import anyio

from interlock.agents.settings import Settings
from interlock.agents.telemetry.opening import open_telemetry
from interlock.bus.clock import Clock
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.telemetry import Telemetry
from interlock.bus.transport import Transport
from interlock.protocol.errors import UsageError

_PATIENCE = 10.0
"""Seconds for which a person waits for a broker that does not answer."""


@asynccontextmanager
async def connected(settings: Settings, *, identity: str, clock: Clock) -> AsyncGenerator[Transport]:
    """Connect as this agent, and disconnect at the end.

    Raises UsageError when no broker is set, or one that has no other processes, BrokerUnavailableError when none
    answers within ten seconds, NotPermittedError when it refuses the credentials.
    """
    urls = settings.broker_urls(identity)
    if any(urlsplit(url).scheme not in {"amqp", "amqps"} for url in urls):
        raise UsageError(
            "this command needs a broker that other processes are connected to: "
            "give broker_url as amqp://… or amqps://…, the in-memory bus ends where its process ends"
        )
    transport = await RabbitTransport.connect(
        urls, identity=identity, clock=clock, timeout=_PATIENCE, client=settings.broker.client
    )
    try:
        yield transport
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()


@asynccontextmanager
async def telling(settings: Settings, *, identity: str, clock: Clock) -> AsyncGenerator[Telemetry]:
    """Tell about what is sent as this agent where the settings have traces on; one command is not worth measuring.

    Raises UsageError when traces are on and the extra is not installed.
    """
    traces = settings.telemetry.model_copy(update={"metrics": "off"})
    async with open_telemetry(
        traces, agent=identity, version=version("interlock"), system="rabbitmq", clock=clock
    ) as opened:
        yield opened.telemetry
