"""The command line's own connection to the broker of the settings; it knows no command."""

from __future__ import annotations

__all__ = ["connected"]

import logging
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
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
    with _quiet_client():
        transport = await RabbitTransport.connect(urls, identity=identity, clock=clock, timeout=_PATIENCE)
        try:
            yield transport
        finally:
            with anyio.CancelScope(shield=True):
                await transport.aclose()


@contextmanager
def _quiet_client() -> Generator[None]:
    """Keep the AMQP client's own log from the terminal: what matters to a person is raised as an error."""
    loggers = [logging.getLogger(name) for name in ("aio_pika", "aiormq")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
