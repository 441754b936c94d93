"""One agent's queue in the memory of a process: what is ready, who consumes, what is parked; it knows no routing."""

from __future__ import annotations

__all__ = ["Mailbox", "MemoryConsumer", "MemoryDelivery", "MemoryParked", "MemoryQueue"]

import asyncio
from collections import deque

from interlock.bus.transport import AgentQueue, Delivery, Outgoing, Parked
from interlock.protocol.errors import UsageError

_CONTENT_TYPE = "application/json"


_ROW = 16
"""How many deliveries in a row one reader takes before others have their turn, which costs more than a delivery."""


class MemoryDelivery:
    """One attempt, settled at most once; a delivery without a consumer is a copy, with nothing to settle."""

    __slots__ = ("_consumer", "_settled", "attempt", "body", "message", "routing_key")

    def __init__(self, message: Outgoing, *, attempt: int = 1, consumer: MemoryConsumer | None = None) -> None:
        self.message = message
        self.attempt = attempt
        self.body = message.body
        self.routing_key = message.routing_key
        self._consumer = consumer
        self._settled = False

    def __repr__(self) -> str:
        return f"MemoryDelivery({self.routing_key!r}, attempt={self.attempt})"

    @property
    def sender(self) -> str | None:
        return self.message.sender

    @property
    def content_type(self) -> str | None:
        return _CONTENT_TYPE

    @property
    def reply_to(self) -> str | None:
        return self.message.reply_to

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        if consumer := self._settle():
            consumer.queue.forget(consumer, self)

    async def reject(self) -> None:
        """See `Delivery.reject`."""
        if consumer := self._settle():
            consumer.queue.park(consumer, self)

    async def requeue(self) -> None:
        """See `Delivery.requeue`."""
        if consumer := self._settle():
            consumer.queue.give_back(consumer, self)

    def _settle(self) -> MemoryConsumer | None:
        """Return the consumer that still holds this delivery; None when there is nothing left to settle."""
        if self._settled:
            raise UsageError(f"a delivery of '{self.routing_key}' was settled twice; settle each exactly once")
        self._settled = True
        return self._consumer if self._consumer and self._consumer.holds(self) else None


class Mailbox:
    """What has arrived for one reader; iterating waits for more and ends when it is closed."""

    def __init__(self, *, limit: int | None = None) -> None:
        self._arrived: deque[Delivery] = deque(maxlen=limit)
        self._readers: list[asyncio.Future[None]] = []
        self._closed = False
        self._in_a_row = 0

    def put(self, delivery: Delivery) -> None:
        """Append; past the limit the oldest is dropped."""
        self._arrived.append(delivery)
        if self._readers:
            self._wake()

    def close(self) -> None:
        """Drop what is left and end the iteration."""
        self._closed = True
        self._arrived.clear()
        self._wake()

    def __aiter__(self) -> Mailbox:
        return self

    async def __anext__(self) -> Delivery:
        self._in_a_row += 1
        if self._in_a_row > _ROW:
            self._in_a_row = 0
            await asyncio.sleep(0)
        while not self._arrived:
            if self._closed:
                raise StopAsyncIteration
            self._in_a_row = 0
            news = asyncio.get_running_loop().create_future()
            self._readers.append(news)
            try:
                await news
            finally:
                if news in self._readers:  # its reader was cancelled
                    self._readers.remove(news)
        return self._arrived.popleft()

    def _wake(self) -> None:
        for news in self._readers:
            if not news.done():
                news.set_result(None)
        self._readers.clear()


class MemoryConsumer:
    """One consumer's share of a queue: at most `prefetch` deliveries that are not settled yet."""

    def __init__(self, queue: MemoryQueue, *, prefetch: int) -> None:
        self.queue = queue
        self.mailbox = Mailbox()
        self._prefetch = prefetch
        self._unsettled: dict[MemoryDelivery, None] = {}

    def holds(self, delivery: MemoryDelivery) -> bool:
        """Return whether this delivery is still this consumer's to settle."""
        return delivery in self._unsettled

    @property
    def has_room(self) -> bool:
        """Whether another delivery may be made."""
        return len(self._unsettled) < self._prefetch

    def deliver(self, message: Outgoing, attempt: int) -> None:
        """Hand out one more attempt."""
        delivery = MemoryDelivery(message, attempt=attempt, consumer=self)
        self._unsettled[delivery] = None
        self.mailbox.put(delivery)

    def release(self, delivery: MemoryDelivery) -> None:
        """Forget a delivery that was settled."""
        del self._unsettled[delivery]

    def release_all(self) -> list[MemoryDelivery]:
        """Return everything that was not settled, oldest first, and end the iteration."""
        unsettled = list(self._unsettled)
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
        self._ready: deque[tuple[Outgoing, int]] = deque()
        """Each message with the attempt that its next delivery will be."""
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
        self._ready.append((message, 1))
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
        for delivery in reversed(consumer.release_all()):
            self._return(delivery)
        self._dispatch()

    def forget(self, consumer: MemoryConsumer, delivery: MemoryDelivery) -> None:
        """Drop an acknowledged message."""
        consumer.release(delivery)
        self._dispatch()

    def park(self, consumer: MemoryConsumer, delivery: MemoryDelivery) -> None:
        """Move a rejected message to the parking queue."""
        consumer.release(delivery)
        self._park(delivery.message, "rejected")
        self._dispatch()

    def give_back(self, consumer: MemoryConsumer, delivery: MemoryDelivery) -> None:
        """Return a message for another attempt, or park it past the delivery limit."""
        consumer.release(delivery)
        self._return(delivery)
        self._dispatch()

    def _return(self, delivery: MemoryDelivery) -> None:
        # As RabbitMQ counts: the limit is on returns, so a message is attempted once more often than that.
        if delivery.attempt > self.declared.delivery_limit:
            self._park(delivery.message, "delivery_limit")
        else:
            self._ready.appendleft((delivery.message, delivery.attempt + 1))

    def _park(self, message: Outgoing, reason: str) -> None:
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
        ready = self._ready
        if not ready or not self._consumers:
            return
        active = self._consumers[0]
        while ready and active.has_room:
            active.deliver(*ready.popleft())
