"""The command line's own connection to the broker of the settings; it knows no command."""

from __future__ import annotations

__all__ = ["connected"]

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio

from interlock.agents.settings import Settings
from interlock.bus.clock import Clock
from interlock.bus.rabbitmq import RabbitTransport
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
