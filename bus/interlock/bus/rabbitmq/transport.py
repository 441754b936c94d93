"""The transport over RabbitMQ: the bus's promises, put together from publisher, consumer and topology."""

from __future__ import annotations

__all__ = ["RabbitTransport"]

import logging
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

import aiormq
from aio_pika.abc import AbstractChannel

from interlock.bus.admission import admit
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.connection import CHATTY, Client, Connection, underlay
from interlock.bus.rabbitmq.consumer import Consumer, Source
from interlock.bus.rabbitmq.history import read_journal
from interlock.bus.rabbitmq.inequivalence import inequivalence
from interlock.bus.rabbitmq.loss import told_of_losses
from interlock.bus.rabbitmq.parking import look_through
from interlock.bus.rabbitmq.publisher import Publisher
from interlock.bus.rabbitmq.topology import (
    JOURNAL,
    MESSAGES,
    Plan,
    observer_prefix,
    parking_queue,
    plan,
    reply_prefix,
)
from interlock.bus.transport import (
    Delivery,
    Features,
    JournalEntry,
    Outgoing,
    Parked,
    ParkedDelivery,
    Topology,
    TransportStatus,
)
from interlock.protocol.errors import UsageError

_TIMEOUT = 30.0
_COPIES_KEPT = 10_000
_EXPIRES_MS = 60_000


class RabbitTransport:
    """One agent's way to RabbitMQ, over whichever of its brokers is alive.

    It publishes and consumes over two connections: under a memory or disk alarm RabbitMQ stops reading from those
    that publish, and acknowledgements must still get through (rabbitmq.com/docs/alarms).
    """

    def __init__(
        self,
        inbound: Connection,
        outbound: Connection,
        *,
        identity: str,
        clock: Clock,
        journal: bool = True,
        watch: float = 5.0,
    ) -> None:
        """Prefer `connect`. `watch` is the interval, in seconds, of the check that consumers are alive."""
        self._inbound = inbound
        self._outbound = outbound
        self._identity = identity
        self._clock = clock
        self._watch = watch
        self._publisher = Publisher(outbound, identity=identity, clock=clock, journal=journal)
        self._consumers: set[Consumer] = set()

    @classmethod
    async def connect(
        cls,
        urls: str | Sequence[str],
        *,
        identity: str,
        clock: Clock | None = None,
        journal: bool = True,
        timeout: float = 30.0,
        heartbeat: int = 5,
        watch: float = 5.0,
        client: Client = "tap",
    ) -> RabbitTransport:
        """Connect to the first broker that answers; `timeout`, `heartbeat` and `watch` are in seconds.

        `identity` must be the user that the URLs log in as: the broker checks it on every message. Without `journal`
        no copies are published, and nobody can observe. `client` says who moves the frames: `tap` is the fast path
        under aio-pika, `aiormq` leaves everything to it, several times slower, with the same promises.

        Raises BrokerUnavailableError, NotPermittedError for refused credentials, UsageError for a malformed URL.
        """
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        clock = clock or SystemClock()
        addresses = (urls,) if isinstance(urls, str) else tuple(urls)
        inbound, outbound = (
            Connection(addresses, identity=identity, clock=clock, heartbeat=heartbeat, client=client)
            for _ in ("in", "out")
        )
        try:
            await (await inbound.channel(timeout=timeout)).close()
        except BaseException:
            await inbound.aclose()
            raise
        return cls(inbound, outbound, identity=identity, clock=clock, journal=journal, watch=watch)

    def __repr__(self) -> str:
        return f"RabbitTransport(identity={self._identity!r}, inbound={self._inbound!r}, outbound={self._outbound!r})"

    @property
    def features(self) -> Features:
        """See `Transport.features`."""
        return Features(name="rabbitmq", durable=True, authenticates=True)

    @property
    def identity(self) -> str:
        """See `Transport.identity`."""
        return self._identity

    @property
    def status(self) -> TransportStatus:
        """See `Transport.status`."""
        return TransportStatus(
            connected=self._inbound.is_connected,
            consuming=any(consumer.is_subscribed for consumer in self._consumers),
            reconnects=self._inbound.reconnects + self._outbound.reconnects,
        )

    async def broker_version(self) -> str:
        """See `Transport.broker_version`."""
        return " ".join(await self._inbound.server_properties(timeout=_TIMEOUT))

    async def declare(self, topology: Topology) -> None:
        """See `Transport.declare`.

        Raises UsageError when something exists with other arguments, NotPermittedError without configure rights.
        """
        _, version = await self._inbound.server_properties(timeout=_TIMEOUT)
        planned = plan(topology, version=tuple(int(number) for number in re.findall(r"\d+", version)[:2]))
        channel = await self._inbound.channel(timeout=_TIMEOUT)
        try:
            with told_of_losses():
                await _declare(channel, planned)
        except aiormq.exceptions.ChannelPreconditionFailed as error:
            raise UsageError(str(inequivalence(str(error)) or f"the broker refuses to declare: {error}")) from error
        except aiormq.exceptions.ChannelAccessRefused as error:
            raise NotPermittedError(
                f"{self._identity} may not declare: {error}; use the topology's own user"
            ) from error
        except (aiormq.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailableError(f"the connection was lost while declaring ({type(error).__name__})") from error
        finally:
            await channel.close()

    async def publish(self, message: Outgoing, *, timeout: float = 10.0) -> None:
        """See `Transport.publish`."""
        admit(message, identity=self._identity)
        await self._publisher.publish(message, timeout=timeout)

    @asynccontextmanager
    async def consume(self, *, prefetch: int = 100) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """See `Transport.consume`."""

        async def declared(channel: AbstractChannel) -> str:
            await channel.declare_queue(self._identity, passive=True)
            return self._identity

        async with self._consumer(declared, prefetch=prefetch) as consumer:
            yield consumer

    @asynccontextmanager
    async def observe(self, *patterns: str) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """See `Transport.observe`; an observer that lags by 10,000 messages loses the oldest."""
        name = f"{observer_prefix(self._identity)}{secrets.token_hex(6)}"
        source = _exclusive(name, JOURNAL, patterns, {"x-max-length": _COPIES_KEPT})
        async with self._consumer(source, prefetch=1000, settles=True) as consumer:
            yield consumer

    @asynccontextmanager
    async def replies(self) -> AsyncGenerator[tuple[str, AsyncIterator[Delivery]]]:
        """See `Transport.replies`."""
        address = f"{reply_prefix(self._identity)}{secrets.token_hex(6)}"
        source = _exclusive(address, MESSAGES, (f"{address}.#",), {"x-expires": _EXPIRES_MS})
        async with self._consumer(source, prefetch=100, settles=True) as consumer:
            yield address, consumer

    async def parked(self, *, limit: int = 100) -> tuple[Parked, ...]:
        """See `Transport.parked`."""
        found: list[Parked] = []
        async with self.parking() as deliveries:
            while len(found) < limit and (delivery := await anext(deliveries, None)) is not None:
                found.append(delivery.message)
        return tuple(found)

    def parking(self) -> AbstractAsyncContextManager[AsyncIterator[ParkedDelivery]]:
        """See `Transport.parking`; each message costs a round trip."""
        return look_through(self._inbound, parking_queue(self._identity))

    def history(self, *, since: datetime | None = None) -> AbstractAsyncContextManager[AsyncIterator[JournalEntry]]:
        """See `Transport.history`; where there is nothing to read, that takes some seconds to be known."""
        return read_journal(self._inbound, since=since)

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        for consumer in tuple(self._consumers):
            await consumer.aclose()
        await self._publisher.aclose()
        await self._outbound.aclose()
        await self._inbound.aclose()

    @asynccontextmanager
    async def _consumer(self, source: Source, *, prefetch: int, settles: bool = False) -> AsyncGenerator[Consumer]:
        consumer = Consumer(
            self._inbound, source, clock=self._clock, prefetch=prefetch, watch=self._watch, settles=settles
        )
        self._consumers.add(consumer)
        try:
            await consumer.start()
            yield consumer
        finally:
            self._consumers.discard(consumer)
            await consumer.aclose()


async def _declare(channel: AbstractChannel, planned: Plan) -> None:
    for exchange in planned.exchanges:
        await channel.declare_exchange(exchange.name, "topic", durable=True)
    for queue in planned.queues:
        await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
    raw = await underlay(channel)
    for binding in planned.bindings:
        await raw.queue_bind(binding.queue, binding.exchange, binding.pattern)


def _exclusive(name: str, exchange: str, patterns: Sequence[str], arguments: dict[str, int]) -> Source:
    """Return a source that is this connection's alone and vanishes with it."""

    async def declared(channel: AbstractChannel) -> str:
        await channel.declare_queue(name, exclusive=True, auto_delete=True, arguments={**arguments})
        raw = await underlay(channel)
        for pattern in patterns:
            await raw.queue_bind(name, exchange, pattern)
        return name

    return declared
