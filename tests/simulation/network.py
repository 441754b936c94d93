"""The memory transport behind a network that delays, refuses, loses, repeats and parts; it knows no message's meaning.

The queues, their order, their redelivery and their parking are those of the product's memory broker.
"""

# The broker's own books tell what it still holds; no port does.
# pyright: reportPrivateUsage=false
from __future__ import annotations

__all__ = ["Network"]

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from interlock.bus.admission import admit
from interlock.bus.errors import BrokerUnavailableError, UnconfirmedError
from interlock.bus.memory import MemoryBroker, MemoryTransport
from interlock.bus.memory_queue import MemoryConsumer
from interlock.bus.transport import AgentQueue, Delivery, Outgoing, Topology
from interlock.protocol.errors import InterlockError
from interlock.protocol.message import ALL
from simulation.choices import Choices, Fault
from simulation.event_loop import VirtualLoop

_NO_LIMIT = 1_000_000
_UNHEARD = 2.0
"""Seconds after which a confirm is no longer waited for."""


class Network:
    """The broker and the lines to it."""

    def __init__(
        self,
        loop: VirtualLoop,
        choices: Choices,
        *,
        agents: tuple[str, ...],
        note: Callable[..., None],
        taken: Callable[[Delivery], None],
    ) -> None:
        """`taken` is told of every acknowledgement that is sent."""
        self.loop = loop
        self.choices = choices
        self.note = note
        self.taken = taken
        self.broker = MemoryBroker()
        self.broker.declare(Topology(tuple(AgentQueue(agent, delivery_limit=_NO_LIMIT) for agent in agents)))
        self.confirmed: dict[str, Outgoing] = {}
        """What the broker has answered for, by id."""
        self.outside = contextvars.copy_context()
        """Whoever dies, what it has sent goes on."""
        self.on_the_way = 0
        self.quiet = False
        """Whether the faults are over."""
        self.parted: dict[str, anyio.Event] = {}
        """Agents that cannot reach the broker, and what tells them that they can again."""
        self.lines: dict[str, Line] = {}

    def connect(self, agent: str) -> Line:
        """Return the line of a new process of an agent; the broker gives up that of the former one."""
        self.hang_up(agent)
        self.lines[agent] = line = Line(self, agent)
        return line

    def hang_up(self, agent: str) -> None:
        """The broker takes back what the agent has not settled."""
        if (line := self.lines.get(agent)) is not None:
            line.lose_consumer()

    def part(self, agent: str) -> None:
        """Cut an agent off until `join`."""
        self.parted.setdefault(agent, anyio.Event())
        self.hang_up(agent)

    def join(self, agent: str) -> None:
        """Let an agent reach the broker again."""
        if (healed := self.parted.pop(agent, None)) is not None:
            healed.set()

    def holds(self, agent: str) -> int:
        """Return how many messages of an agent the broker has not got rid of: the broker's own books say so."""
        queue = self.broker.queue(agent)
        return len(queue._ready) + sum(len(consumer._unsettled) for consumer in queue._consumers)

    def strikes(self, kind: Fault) -> bool:
        """Return whether a fault happens now."""
        return not self.quiet and self.choices.strikes(kind)

    def later(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        """Do something in the broker's name."""
        self.on_the_way += 1
        self.loop.call_later(seconds, self._arrived, act, arguments, context=self.outside)

    def route(self, message: Outgoing) -> None:
        """Put a message into its queue; it is confirmed already, or nobody asks."""
        self.broker.route(message)

    def _arrived(self, act: Callable[..., None], arguments: tuple[object, ...]) -> None:
        self.on_the_way -= 1
        act(*arguments)


class Line(MemoryTransport):
    """One process's connection."""

    def __init__(self, network: Network, agent: str) -> None:
        super().__init__(network.broker, agent)
        self._network = network
        self._consumer: MemoryConsumer | None = None

    async def publish(self, message: Outgoing, *, timeout: float = 10.0) -> None:
        """Send, and wait for a confirm that may not come; the message may have arrived all the same."""
        network = self._network
        admit(message, identity=self.identity)
        await asyncio.sleep(0)
        if network.loop.reaping:
            raise BrokerUnavailableError("the simulation is over")
        if message.receiver == ALL:
            return
        if self.identity in network.parted or network.strikes(Fault.REFUSE):
            await asyncio.sleep(network.choices.latency())
            raise BrokerUnavailableError("no way to the broker")
        answer: asyncio.Future[None] = network.loop.create_future()
        if network.strikes(Fault.LOSE):
            network.later(
                min(timeout, _UNHEARD), _fail, answer, UnconfirmedError(message.message_id, "no confirm came")
            )
        else:
            network.later(network.choices.latency(), self._arrive, message, answer)
        await answer

    def _arrive(self, message: Outgoing, answer: asyncio.Future[None]) -> None:
        network = self._network
        network.note("route", message.sender, message.receiver, message.type, message.message_id)
        if network.strikes(Fault.REORDER):
            network.later(network.choices.within(Fault.REORDER, 0.0, 1.0), network.route, message)
        else:
            try:
                network.route(message)
            except InterlockError as error:
                network.later(network.choices.latency(), _fail, answer, error)
                return
        if network.strikes(Fault.DUPLICATE):
            network.later(network.choices.within(Fault.DUPLICATE, 0.0, 2.0), network.route, message)
        if network.strikes(Fault.UNCONFIRM):
            network.later(_UNHEARD, _fail, answer, UnconfirmedError(message.message_id, "its confirm was lost"))
        else:
            network.later(network.choices.latency(), self._confirm, message, answer)

    def _confirm(self, message: Outgoing, answer: asyncio.Future[None]) -> None:
        self._network.confirmed[message.message_id] = message
        if not answer.done():
            answer.set_result(None)

    @asynccontextmanager
    async def consume(self, *, prefetch: int = 100) -> AsyncGenerator[AsyncIterator[Delivery]]:
        """Take deliveries, over as many connections as it takes."""
        await asyncio.sleep(0)
        try:
            yield self._deliveries(prefetch)
        finally:
            self.lose_consumer()

    async def _deliveries(self, prefetch: int) -> AsyncGenerator[Delivery]:
        network = self._network
        while True:
            if (healed := network.parted.get(self.identity)) is not None:
                await healed.wait()
                continue
            if network.lines[self.identity] is not self:
                return
            self._consumer = consumer = network.broker.queue(self.identity).attach(prefetch=prefetch)
            async for delivery in consumer.mailbox:
                await asyncio.sleep(network.choices.latency())
                yield _Delivered(delivery, self)

    def lose_consumer(self) -> None:
        """Detach; what is not settled comes again."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.queue.detach(consumer)

    def has_taken(self, delivery: Delivery) -> None:
        """Tell the world what an agent says that it has."""
        if not self._network.loop.reaping:
            self._network.taken(delivery)

    def acknowledged(self) -> bool:
        """Return whether an acknowledgement reaches the broker; otherwise the line breaks a little later."""
        network = self._network
        if network.loop.reaping:
            return False
        if network.strikes(Fault.REDELIVER):
            network.later(network.choices.within(Fault.REDELIVER, 0.0, 1.0), self.lose_consumer)
            return False
        return True


class _Delivered:
    """A delivery whose settling may be lost."""

    def __init__(self, delivery: Delivery, line: Line) -> None:
        self._delivery = delivery
        self._line = line
        self.body = delivery.body
        self.routing_key = delivery.routing_key
        self.sender = delivery.sender
        self.content_type = delivery.content_type
        self.reply_to = delivery.reply_to
        self.attempt = delivery.attempt

    async def ack(self) -> None:
        self._line.has_taken(self._delivery)
        if self._line.acknowledged():
            await self._delivery.ack()

    async def reject(self) -> None:
        if self._line.acknowledged():
            await self._delivery.reject()

    async def requeue(self) -> None:
        if self._line.acknowledged():
            await self._delivery.requeue()


def _fail(answer: asyncio.Future[None], error: InterlockError) -> None:
    if not answer.done():
        answer.set_exception(error)
