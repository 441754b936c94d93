"""A managed broker as tests see it: its administration, raw access to make faults with, and a clean end."""

from __future__ import annotations

__all__ = ["Managed"]

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel

from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import VHOST
from interlock.bus.rabbitmq.administration import Administration
from interlock.bus.rabbitmq.management import Management
from interlock.bus.rabbitmq.observation import from_management


@dataclass(frozen=True, slots=True)
class Managed:
    broker: PrivateBroker
    administration: Administration
    """With the management API."""
    blind: Administration
    """Over AMQP alone."""
    management: Management
    channel: AbstractChannel

    @classmethod
    @asynccontextmanager
    async def open(cls, broker: PrivateBroker) -> AsyncGenerator[Managed]:
        management = Management(broker.management_url(), vhost=VHOST)
        clock = SystemClock()
        async with (
            Administration.open([broker.url()], management=management, clock=clock) as administration,
            Administration.open([broker.url()], management=None, clock=clock) as blind,
            await aio_pika.connect(broker.url()) as connection,
            connection.channel() as channel,
        ):
            yield cls(broker, administration, blind, management, channel)
            await cls._clear(management, broker)

    @staticmethod
    async def _clear(management: Management, broker: PrivateBroker) -> None:
        seen = await from_management(management)
        async with await aio_pika.connect(broker.url()) as connection, connection.channel() as channel:
            for queue in seen.queues:
                await channel.queue_delete(queue)
            for exchange in seen.exchanges:
                if not exchange.startswith("amq."):
                    await channel.exchange_delete(exchange)

    async def queue(self, name: str, arguments: dict[str, str | int | bool] | None = None) -> None:
        """Declare a quorum queue with exactly these arguments besides."""
        await self.channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum", **(arguments or {})})
