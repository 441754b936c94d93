"""One agent's queue in the memory of a process: what is ready, who consumes, what is parked; it knows no routing."""

from __future__ import annotations

__all__ = ["Mailbox", "MemoryConsumer", "MemoryDelivery", "MemoryParked", "MemoryQueue"]

import asyncio
from collections import deque
from dataclasses import dataclass, replace

import anyio

from interlock.bus.transport import AgentQueue, Delivery, Outgoing, Parked
from interlock.protocol.errors import UsageError

_CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class _Stored:
    """A message and the attempt that its next delivery will be."""

    message: Outgoing
    attempt: int = 1


class MemoryDelivery:
    """One attempt, settled at most once; a delivery without a consumer is a copy, with nothing to settle."""

    __slots__ = ("_consumer", "_settled", "_stored")

    def __init__(self, stored: _Stored, consumer: MemoryConsumer | None) -> None:
        self._stored = stored
        self._consumer = consumer
        self._settled = False

    @classmethod
    def copy_of(cls, message: Outgoing) -> MemoryDelivery:
        """Return a delivery for observers and for those who wait for a reply."""
        return cls(_Stored(message), None)

    def __repr__(self) -> str:
        return f"MemoryDelivery({self.routing_key!r}, attempt={self.attempt})"

    @property
    def body(self) -> bytes:
        return self._stored.message.body

    @property
    def routing_key(self) -> str:
        return self._stored.message.routing_key

    @property
    def sender(self) -> str | None:
        return self._stored.message.sender

    @property
    def content_type(self) -> str | None:
        return _CONTENT_TYPE

    @property
    def reply_to(self) -> str | None:
        return self._stored.message.reply_to

    @property
    def attempt(self) -> int:
        return self._stored.attempt

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        await asyncio.sleep(0)
        if consumer := self._settle():
            consumer.queue.forget(consumer, self._stored)

    async def reject(self) -> None:
        """See `Delivery.reject`."""
        await asyncio.sleep(0)
        if consumer := self._settle():
            consumer.queue.park(consumer, self._stored)

    async def requeue(self) -> None:
        """See `Delivery.requeue`."""
        await asyncio.sleep(0)
        if consumer := self._settle():
            consumer.queue.give_back(consumer, self._stored)

    def _settle(self) -> MemoryConsumer | None:
        """Return the consumer that still holds this delivery; None when there is nothing left to settle."""
        if self._settled:
            raise UsageError(f"a delivery of '{self.routing_key}' was settled twice; settle each exactly once")
        self._settled = True
        return self._consumer if self._consumer and self._consumer.holds(self._stored) else None


class Mailbox:
    """What has arrived for one reader; iterating waits for more and ends when it is closed."""

    def __init__(self, *, limit: int | None = None) -> None:
        self._arrived: deque[Delivery] = deque(maxlen=limit)
        self._changed = anyio.Event()
        self._closed = False

    def put(self, delivery: Delivery) -> None:
        """Append; past the limit the oldest is dropped."""
        self._arrived.append(delivery)
        self._changed.set()

    def close(self) -> None:
        """Drop what is left and end the iteration."""
        self._closed = True
        self._arrived.clear()
        self._changed.set()

    def __aiter__(self) -> Mailbox:
        return self

    async def __anext__(self) -> Delivery:
        await asyncio.sleep(0)
        while not self._arrived:
            if self._closed:
                raise StopAsyncIteration
            self._changed = anyio.Event()
            await self._changed.wait()
        return self._arrived.popleft()


class MemoryConsumer:
    """One consumer's share of a queue: at most `prefetch` deliveries that are not settled yet."""

    def __init__(self, queue: MemoryQueue, *, prefetch: int) -> None:
        self.queue = queue
        self.mailbox = Mailbox()
        self._prefetch = prefetch
        self._unsettled: dict[int, _Stored] = {}

    def holds(self, stored: _Stored) -> bool:
        """Return whether this delivery is still this consumer's to settle."""
        return id(stored) in self._unsettled

    @property
    def has_room(self) -> bool:
        """Whether another delivery may be made."""
        return len(self._unsettled) < self._prefetch

    def deliver(self, stored: _Stored) -> None:
        """Hand out one more attempt."""
        self._unsettled[id(stored)] = stored
        self.mailbox.put(MemoryDelivery(stored, self))

    def release(self, stored: _Stored) -> None:
        """Forget a delivery that was settled."""
        del self._unsettled[id(stored)]

    def release_all(self) -> list[_Stored]:
        """Return everything that was not settled, oldest first, and end the iteration."""
        unsettled = list(self._unsettled.values())
        self._unsettled.clear()
        self.mailbox.close()
        return unsettled


class MemoryParked:
    """A parked message while somebody looks at it."""

    def __init__(self, queue: MemoryQueue, message: Parked) -> None:
        self._queue = queue
        self._message = message

    @property
    def message(self) -> Parked:
        return self._message

    async def remove(self) -> None:
        """See `ParkedDelivery.remove`."""
        await asyncio.sleep(0)
        # By identity: two messages may be alike, and another one who looks may have been faster.
        self._queue.parked = [parked for parked in self._queue.parked if parked is not self._message]


class MemoryQueue:
    """Delivers in order to its first consumer; the others stand by. Losing it gives back what it had not settled."""

    def __init__(self, declared: AgentQueue) -> None:
        self.declared = declared
        self.announcements = declared.announcements
        self.parked: list[Parked] = []
        self._ready: deque[_Stored] = deque()
        self._consumers: list[MemoryConsumer] = []

    def __repr__(self) -> str:
        return f"MemoryQueue({self.declared.agent!r}, ready={len(self._ready)}, parked={len(self.parked)})"

    @property
    def is_full(self) -> bool:
        """Whether another message would exceed the declared length."""
        return len(self._ready) >= self.declared.max_length

    def widen(self, announcements: frozenset[str]) -> None:
        """Receive these announcements as well; like a broker's bindings, none is taken away by declaring again."""
        self.announcements |= announcements

    def put(self, message: Outgoing) -> None:
        """Store a message at the end."""
        self._ready.append(_Stored(message))
        self._dispatch()

    def attach(self, *, prefetch: int) -> MemoryConsumer:
        """Add a consumer; it becomes active when those before it have left."""
        consumer = MemoryConsumer(self, prefetch=prefetch)
        self._consumers.append(consumer)
        self._dispatch()
        return consumer

    def detach(self, consumer: MemoryConsumer) -> None:
        """Remove a consumer; what it had not settled comes again, in order, before everything else."""
        self._consumers.remove(consumer)
        for stored in reversed(consumer.release_all()):
            self._return(stored)
        self._dispatch()

    def forget(self, consumer: MemoryConsumer, stored: _Stored) -> None:
        """Drop an acknowledged message."""
        consumer.release(stored)
        self._dispatch()

    def park(self, consumer: MemoryConsumer, stored: _Stored) -> None:
        """Move a rejected message to the parking queue."""
        consumer.release(stored)
        self._park(stored, "rejected")
        self._dispatch()

    def give_back(self, consumer: MemoryConsumer, stored: _Stored) -> None:
        """Return a message for another attempt, or park it past the delivery limit."""
        consumer.release(stored)
        self._return(stored)
        self._dispatch()

    def _return(self, stored: _Stored) -> None:
        # As RabbitMQ counts: the limit is on returns, so a message is attempted once more often than that.
        if stored.attempt > self.declared.delivery_limit:
            self._park(stored, "delivery_limit")
        else:
            self._ready.appendleft(replace(stored, attempt=stored.attempt + 1))

    def _park(self, stored: _Stored, reason: str) -> None:
        message = stored.message
        self.parked.append(
            Parked(
                message.body,
                message.routing_key,
                message.sender,
                reason,
                content_type=_CONTENT_TYPE,
                reply_to=message.reply_to,
            )
        )

    def _dispatch(self) -> None:
        while self._consumers and self._ready and self._consumers[0].has_room:
            self._consumers[0].deliver(self._ready.popleft())
