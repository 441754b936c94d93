"""Passes on what a queue holds, message by message, unchanged; it knows neither why nor where to.

A message is acknowledged once the copy is confirmed: an interruption makes doubles, in order, and never a gap.
"""

from __future__ import annotations

__all__ = ["Pump"]

import asyncio
import itertools

import aiormq
import anyio
from aiormq import spec
from aiormq.abc import DeliveredMessage

from interlock.bus.errors import BrokerUnavailableError
from interlock.protocol.errors import UsageError

_BATCH = 200
_CONFIRM_TIMEOUT = 30.0


class Pump:
    """Publishes what one queue holds to one exchange, in order, and acknowledges what was confirmed."""

    def __init__(self, channel: aiormq.Channel, queue: str, exchange: str) -> None:
        self._channel = channel
        self._queue = queue
        self._exchange = exchange
        self._arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        self._tag = ""

    @classmethod
    async def start(cls, channel: aiormq.Channel, queue: str, exchange: str) -> Pump:
        """Become the queue's only consumer. Raises UsageError when it has another."""
        pump = cls(channel, queue, exchange)
        await channel.basic_qos(prefetch_count=_BATCH)
        pump._tag = (await channel.basic_consume(queue, pump._arrived.put)).consumer_tag or ""
        found = await channel.queue_declare(queue, passive=True)
        if found.consumer_count != 1:
            raise UsageError(f"{queue} has got a consumer meanwhile: stop its agent, then run this again")
        return pump

    async def until_nearly_empty(self) -> int:
        """Pass on until no more than one batch waits, while others go on filling; returns how many that was."""
        moved = 0
        while True:
            batch = await self._next_batch(0.1)
            if batch:
                await self._pass_on(batch)
            moved += len(batch)
            if await self._waiting() <= _BATCH:
                return moved

    async def until_quiet(self, seconds: float) -> int:
        """Pass on everything until nothing has arrived for this long; returns how many messages that were."""
        moved = 0
        while True:
            batch = await self._next_batch(seconds)
            if not batch:
                break
            await self._pass_on(batch)
            moved += len(batch)
        if self._tag not in self._channel.consumers:
            raise BrokerUnavailableError(f"the broker ended the consumer of {self._queue}; run this again")
        if waiting := await self._waiting():
            raise BrokerUnavailableError(
                f"{self._queue} holds {waiting} messages that it does not deliver; run this again"
            )
        return moved

    async def _waiting(self) -> int:
        return (await self._channel.queue_declare(self._queue, passive=True)).message_count or 0

    async def _next_batch(self, seconds: float) -> list[DeliveredMessage]:
        batch: list[DeliveredMessage] = []
        with anyio.move_on_after(seconds):
            batch.append(await self._arrived.get())
        while batch and len(batch) < _BATCH and not self._arrived.empty():
            batch.append(self._arrived.get_nowait())
        return batch

    async def _pass_on(self, batch: list[DeliveredMessage]) -> None:
        publishes = [asyncio.create_task(self._publish(message)) for message in batch]
        try:
            await asyncio.wait(publishes, timeout=_CONFIRM_TIMEOUT)
        finally:
            for publish in publishes:
                publish.cancel()
        # Up to the first that was not taken: those behind it come again, in order, and are doubles then.
        taken = list(itertools.takewhile(lambda each: _is_confirmed(each[1]), zip(batch, publishes, strict=True)))
        if taken:
            await self._channel.basic_ack(taken[-1][0].delivery_tag or 0, multiple=True)
        for publish in publishes[len(taken) :]:
            if not publish.done() or publish.cancelled():
                raise BrokerUnavailableError(f"a message of {self._queue} was not confirmed; run this again")
            if error := publish.exception():
                self._explain(error)
            elif not isinstance(publish.result(), spec.Basic.Ack):
                raise BrokerUnavailableError(f"a message of {self._queue} was not confirmed; run this again")

    async def _publish(self, message: DeliveredMessage) -> object:
        properties = message.header.properties
        # The queue's own count of returns: it starts anew.
        headers = {name: value for name, value in (properties.headers or {}).items() if name != "x-delivery-count"}
        properties.headers = headers
        return await self._channel.basic_publish(
            message.body,
            exchange=self._exchange,
            routing_key=message.routing_key or "",
            properties=properties,
            mandatory=True,
            wait=False,
        )

    def _explain(self, error: BaseException) -> None:
        """Raise what a refused publish means."""
        if isinstance(error, aiormq.exceptions.PublishError):
            raise BrokerUnavailableError(f"nothing is bound to {self._exchange} any more; run this again") from error
        if isinstance(error, aiormq.exceptions.DeliveryError):
            raise UsageError(
                f"the queue behind {self._exchange} is full: start its agent, and run this again once it has caught up"
            ) from error
        raise error


def _is_confirmed(publish: asyncio.Task[object]) -> bool:
    return (
        publish.done()
        and not publish.cancelled()
        and publish.exception() is None
        and isinstance(publish.result(), spec.Basic.Ack)
    )
