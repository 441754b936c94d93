"""What the tests of the transport's borders share: one broker over one client, bodies, and ways to make faults."""

from __future__ import annotations

__all__ = ["CLIENTS", "Border", "outcomes", "random_body"]

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

import aio_pika
from aio_pika.abc import AbstractChannel

from bus.conftest import RabbitHarness
from bus.tcp_proxy import TcpProxy
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.rabbitmq.connection import Client
from interlock.bus.transport import Outgoing, Transport

CLIENTS: tuple[Client, ...] = ("tap", "aiormq")


class Border(RabbitHarness):
    """A broker as the border tests use it: also over a proxy, with other heartbeats, and by its own command."""

    def __init__(self, broker: PrivateBroker, *, client: Client) -> None:
        super().__init__(broker, client=client)
        self.broker = broker
        self.client: Client = client

    async def over(
        self, identity: str, proxy: TcpProxy | None = None, *, heartbeat: int = 5, journal: bool = True
    ) -> RabbitTransport:
        """Connect as an agent, through the proxy where one is given; looks after its consumers five times a second."""
        url = self.broker.url(identity)
        if proxy is not None:
            url = url.replace(str(self.broker.port), str(proxy.port))
        transport = await RabbitTransport.connect(
            url, identity=identity, client=self.client, heartbeat=heartbeat, journal=journal, watch=0.2
        )
        self.opened(transport)
        return transport

    @asynccontextmanager
    async def administering(self) -> AsyncGenerator[AbstractChannel]:
        """Open a channel with every right, by the client library alone."""
        async with await aio_pika.connect(self.broker.url()) as connection, connection.channel() as channel:
            yield channel


def random_body(size: int, *, seed: int = 4) -> bytes:
    """Return this many bytes, the same for the same seed."""
    return random.Random(size * 1_000 + seed).randbytes(size)


async def outcomes(transport: Transport, messages: Iterable[Outgoing], *, timeout: float = 30.0) -> list[object]:
    """Publish all at once, and return for each None or what it raised."""
    return await asyncio.gather(
        *(transport.publish(message, timeout=timeout) for message in messages), return_exceptions=True
    )
