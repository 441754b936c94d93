"""The transport for one process: the same promises as over RabbitMQ, kept in memory; nothing survives the process."""

from __future__ import annotations

__all__ = ["MemoryBroker", "MemoryTransport"]

import asyncio
import itertools
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime

from interlock.bus.admission import admit
from interlock.bus.errors import BrokerUnavailableError, UnconfirmedError, UnroutableError
from interlock.bus.memory_queue import Mailbox, MemoryConsumer, MemoryDelivery, MemoryParked, MemoryQueue
from interlock.bus.transport import (
    Delivery,
    Features,
    JournalEntry,
    Outgoing,
    Parked,
    ParkedDelivery,
    Topology,
    TransportStatus,
    matches,
)
from interlock.protocol.errors import UsageError
from interlock.protocol.message import ALL

_COPIES_KEPT = 10_000
"""How many copies wait for a slow observer, and how many the journal keeps, before the oldest is dropped."""


class MemoryBroker:
    """What all transports of one process share: the agents' queues, the observers and the reply addresses."""

    def __init__(self) -> None:
        self._queues: dict[str, MemoryQueue] = {}
        self._observers: dict[Mailbox, tuple[str, ...]] = {}
        self._replies: dict[str, Mailbox] = {}
        self._journal: deque[Outgoing] = deque(maxlen=_COPIES_KEPT)
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"MemoryBroker(queues={sorted(self._queues)}, observers={len(self._observers)})"

    def connect(self, identity: str) -> MemoryTransport:
        """Return a transport that publishes as this agent and consumes its queue."""
        return MemoryTransport(self, identity)

    def declare(self, topology: Topology) -> None:
        """Add the queues that are missing; a queue that exists keeps its messages and gains announcements.

        Raises UsageError when a queue exists with other limits.
        """
        for agent in topology.agents:
            queue = self._queues.setdefault(agent.agent, MemoryQueue(agent))
            known = queue.declared
            if (known.delivery_limit, known.max_length) != (agent.delivery_limit, agent.max_length):
                raise UsageError(f"queue '{agent.agent}' exists with other limits; delete it before declaring these")
            queue.widen(agent.announcements)

    def queue(self, agent: str) -> MemoryQueue:
        """Return an agent's queue; raises BrokerUnavailableError when it was not declared."""
        try:
            return self._queues[agent]
        except KeyError as error:
            raise BrokerUnavailableError(f"queue '{agent}' is not declared; declare the topology first") from error

    def route(self, message: Outgoing) -> None:
        """Store the message wherever it belongs, and give observers their copies.

        Raises UnroutableError, and UnconfirmedError when a queue is full.
        """
        self._journal.append(message)
        for observer, patterns in self._observers.items():
            if any(matches(pattern, message.routing_key) for pattern in patterns):
                observer.put(MemoryDelivery(message))
        receiver = message.receiver
        if reply := self._replies.get(receiver):
            reply.put(MemoryDelivery(message))
        elif receiver == ALL:
            self._announce(message)
        elif queue := self._queues.get(receiver):
            if queue.is_full:
                raise _refused_by(queue, message)
            queue.put(message)
        else:
            raise UnroutableError(receiver, message.type, message.message_id, message.conversation_id)

    def _announce(self, message: Outgoing) -> None:
        """Store a copy for each that wants it; as on RabbitMQ, one full queue refuses the publish, not the others."""
        queues = [queue for queue in self._queues.values() if message.type in queue.announcements]
        refusing = [queue for queue in queues if queue.is_full]
        for queue in queues:
            if queue not in refusing:
                queue.put(message)
        if refusing:
            raise _refused_by(refusing[0], message)

    def journal(self, since: datetime | None) -> tuple[JournalEntry, ...]:
        """Return the latest copies of everything that was published, oldest first."""
        return tuple(
            JournalEntry(message.body, message.routing_key, message.sender)
            for message in self._journal
            if since is None or message.sent_at >= since
        )

    def add_observer(self, *patterns: str) -> Mailbox:
        """Return a mailbox that receives a copy of everything that matches any of these from now on."""
        mailbox = Mailbox(limit=_COPIES_KEPT)
        self._observers[mailbox] = patterns
        return mailbox

    def remove_observer(self, mailbox: Mailbox) -> None:
        """Stop copying to this mailbox."""
        self._observers.pop(mailbox, None)
        mailbox.close()

    def open_reply(self, identity: str) -> tuple[str, Mailbox]:
        """Return a fresh reply address with its mailbox."""
        address = f"reply.{identity}.{next(self._numbers)}"
        self._replies[address] = mailbox = Mailbox()
        return address, mailbox

    def close_reply(self, address: str) -> None:
        """Make the address unroutable again."""
        if mailbox := self._replies.pop(address, None):
            mailbox.close()


def _refused_by(queue: MemoryQueue, message: Outgoing) -> UnconfirmedError:
    return UnconfirmedError(message.message_id, f"the broker refused it: {queue!r} is full")


class MemoryTransport:
    """One agent's connection to a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, identity: str) -> None:
        self._broker = broker
        self._identity = identity
        self._consumers: set[MemoryConsumer] = set()
        self._observers: set[Mailbox] = set()
        self._addresses: set[str] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"MemoryTransport(identity={self._identity!r}, closed={self._closed})"

    @property
    def features(self) -> Features:
        """See `Transport.features`."""
        return Features(name="memory", durable=False, authenticates=False)

    @property
    def identity(self) -> str:
        """See `Transport.identity`."""
        return self._identity

    @property
    def status(self) -> TransportStatus:
        """See `Transport.status`."""
        return TransportStatus(connected=not self._closed, consuming=bool(self._consumers), reconnects=0)

    async def broker_version(self) -> str:
        """See `Transport.broker_version`."""
        await asyncio.sleep(0)
        return "memory"

    async def declare(self, topology: Topology) -> None:
        """See `Transport.declare`; every identity may."""
        await self._turn()
        self._broker.declare(topology)

    async def publish(self, message: Outgoing, *, timeout: float = 10.0) -> None:  # noqa: ARG002 - the port's
        """See `Transport.publish`; it takes one turn of the event loop."""
        admit(message, identity=self._identity)
        self._check_open()
        await asyncio.sleep(0)
        self._broker.route(message)

    @asynccontextmanager
    async def consume(self, *, prefetch: int = 100) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """See `Transport.consume`."""
        await self._turn()
        consumer = self._broker.queue(self._identity).attach(prefetch=prefetch)
        self._consumers.add(consumer)
        try:
            yield consumer.mailbox
        finally:
            self._leave(consumer)

    @asynccontextmanager
    async def observe(self, *patterns: str) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """See `Transport.observe`; an observer that lags by 10,000 messages loses the oldest."""
        await self._turn()
        mailbox = self._broker.add_observer(*patterns)
        self._observers.add(mailbox)
        try:
            yield mailbox
        finally:
            self._observers.discard(mailbox)
            self._broker.remove_observer(mailbox)

    @asynccontextmanager
    async def replies(self) -> AsyncGenerator[tuple[str, AsyncIterator[Delivery]]]:
        """See `Transport.replies`."""
        await self._turn()
        address, mailbox = self._broker.open_reply(self._identity)
        self._addresses.add(address)
        try:
            yield address, mailbox
        finally:
            self._addresses.discard(address)
            self._broker.close_reply(address)

    async def parked(self, *, limit: int = 100) -> tuple[Parked, ...]:
        """See `Transport.parked`."""
        await self._turn()
        return tuple(self._broker.queue(self._identity).parked[:limit])

    @asynccontextmanager
    async def parking(self) -> AsyncGenerator[AsyncIterator[ParkedDelivery]]:
        """See `Transport.parking`."""
        await self._turn()
        queue = self._broker.queue(self._identity)

        async def looked_at() -> AsyncGenerator[ParkedDelivery]:
            for message in tuple(queue.parked):
                await self._turn()
                yield MemoryParked(queue, message)

        async with aclosing(looked_at()) as messages:
            yield messages

    @asynccontextmanager
    async def history(self, *, since: datetime | None = None) -> AsyncGenerator[AsyncIterator[JournalEntry]]:
        """See `Transport.history`; the journal keeps the last 10,000 messages."""
        await self._turn()

        async def entries() -> AsyncGenerator[JournalEntry]:
            for entry in self._broker.journal(since):
                yield entry

        async with aclosing(entries()) as found:
            yield found

    async def aclose(self) -> None:
        """See `Transport.aclose`."""
        self._closed = True
        for consumer in tuple(self._consumers):
            self._leave(consumer)
        for mailbox in self._observers:
            self._broker.remove_observer(mailbox)
        for address in self._addresses:
            self._broker.close_reply(address)
        await asyncio.sleep(0)

    def _leave(self, consumer: MemoryConsumer) -> None:
        if consumer in self._consumers:
            self._consumers.remove(consumer)
            consumer.queue.detach(consumer)

    async def _turn(self) -> None:
        self._check_open()
        await asyncio.sleep(0)

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError(f"{self._identity}'s transport is closed; connect again")
