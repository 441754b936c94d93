"""Publishing and consuming: this transport beside raw aio-pika and FastStream, on one private broker in one run.

Contenders take turns within every round, so that what the machine does meanwhile meets them all alike. What counts is
the ratio to raw aio-pika; absolute rates only describe the machine. Run: `python tests/benchmarks/bus.py [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import anyio
from faststream.rabbit import Channel as FastStreamChannel
from faststream.rabbit import QueueType, RabbitBroker, RabbitQueue

from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Outgoing, Topology
from interlock.protocol.ids import new_id

BODY = b"x" * 634
ONE_BY_ONE = 300
IN_FLIGHT = 500
MANY = 3000
PREFETCH = 100
QUORUM = {"x-queue-type": "quorum"}


class Contender(ABC):
    """Somebody who publishes persistent, mandatory, confirmed messages to a quorum queue, and acknowledges each."""

    name: str

    @abstractmethod
    async def open(self, broker: PrivateBroker) -> None:
        """Connect, and make sure that the queue is there."""

    @abstractmethod
    async def publish(self) -> None:
        """Return when one message is confirmed."""

    @abstractmethod
    async def consume(self, count: int) -> None:
        """Return when this many messages were received and acknowledged."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""


class Interlock(Contender):
    """This project's transport; the journal's copy doubles what is published."""

    def __init__(self, *, journal: bool) -> None:
        self.name = "interlock, journal on" if journal else "interlock"
        self._journal = journal
        self._sender, self._receiver = ("alpha-agent", "beta-agent") if journal else ("gamma-agent", "delta-agent")

    async def open(self, broker: PrivateBroker) -> None:
        self._out = await RabbitTransport.connect(
            broker.url(self._sender), identity=self._sender, clock=SystemClock(), journal=self._journal
        )
        self._in = await RabbitTransport.connect(broker.url(self._receiver), identity=self._receiver)

    async def publish(self) -> None:
        await self._out.publish(
            Outgoing(
                body=BODY,
                message_id=new_id(),
                sender=self._sender,
                receiver=self._receiver,
                type="ping",
                conversation_id=new_id(),
                sent_at=datetime.now(UTC),
            ),
            timeout=30.0,
        )

    async def consume(self, count: int) -> None:
        async with self._in.consume(prefetch=PREFETCH) as deliveries:
            for _ in range(count):
                await (await anext(deliveries)).ack()

    async def close(self) -> None:
        await self._out.aclose()
        await self._in.aclose()


class Raw(Contender):
    """aio-pika as its documentation uses it."""

    name = "raw aio-pika"

    async def open(self, broker: PrivateBroker) -> None:
        self._connection = await aio_pika.connect(broker.url())
        self._channel = await self._connection.channel(on_return_raises=True)
        await self._channel.set_qos(prefetch_count=PREFETCH)
        self._queue = await self._channel.declare_queue("raw", durable=True, arguments={**QUORUM})

    async def publish(self) -> None:
        message = aio_pika.Message(BODY, delivery_mode=2, content_type="application/json")
        await self._channel.default_exchange.publish(message, "raw")

    async def consume(self, count: int) -> None:
        done, left = asyncio.Event(), count

        async def receive(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal left
            await message.ack()
            left -= 1
            if not left:
                done.set()

        tag = await self._queue.consume(receive)
        await done.wait()
        await self._queue.cancel(tag)

    async def close(self) -> None:
        await self._connection.close()


class FastStream(Contender):
    """FastStream's RabbitMQ broker; its handlers' argument injection is off."""

    name = "FastStream"

    async def open(self, broker: PrivateBroker) -> None:
        self._queue = RabbitQueue("faststream", queue_type=QueueType.QUORUM, durable=True)
        self._broker = RabbitBroker(
            broker.url(), apply_types=False, default_channel=FastStreamChannel(prefetch_count=PREFETCH), logger=None
        )
        self._arrived: Callable[[], None] = lambda: None
        subscriber = self._broker.subscriber(self._queue)
        subscriber(self._receive)
        self._subscriber = subscriber
        await self._broker.connect()
        await self._broker.declare_queue(self._queue)

    async def _receive(self, _: bytes) -> None:
        self._arrived()

    async def publish(self) -> None:
        await self._broker.publish(BODY, self._queue, persist=True, mandatory=True)

    async def consume(self, count: int) -> None:
        done, left = asyncio.Event(), count

        def arrived() -> None:
            nonlocal left
            left -= 1
            if not left:
                done.set()

        self._arrived = arrived
        await self._subscriber.start()
        await done.wait()
        await self._subscriber.stop()

    async def close(self) -> None:
        await self._broker.stop()


async def one_by_one(contender: Contender) -> int:
    for _ in range(ONE_BY_ONE):
        await contender.publish()
    return ONE_BY_ONE


async def many_in_flight(contender: Contender) -> int:
    window = asyncio.Semaphore(IN_FLIGHT)

    async def publish() -> None:
        async with window:
            await contender.publish()

    await asyncio.gather(*(publish() for _ in range(MANY)))
    return MANY


async def consume(contender: Contender) -> int:
    await contender.consume(ONE_BY_ONE + MANY)
    return ONE_BY_ONE + MANY


WORK: dict[str, Callable[[Contender], Awaitable[int]]] = {
    "publish, one by one": one_by_one,
    f"publish, {IN_FLIGHT} in flight": many_in_flight,
    "consume, ack each": consume,
}


async def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return the median messages per second of each kind of work and contender."""
    agents = ("alpha-agent", "beta-agent", "gamma-agent", "delta-agent")
    rows = {agent: {(receiver, "ping") for receiver in agents} for agent in agents}
    rates: dict[str, dict[str, list[float]]] = {work: {} for work in WORK}
    contenders = [Raw(), Interlock(journal=False), Interlock(journal=True), FastStream()]
    with tempfile.TemporaryDirectory() as directory:
        async with PrivateBroker(Path(directory), definitions=definitions(rows)) as broker, AsyncExitStack() as stack:
            admin = await RabbitTransport.connect(broker.url(), identity=ADMIN)
            await admin.declare(Topology(tuple(AgentQueue(agent) for agent in agents)))
            await admin.aclose()
            for contender in contenders:
                await contender.open(broker)
                stack.push_async_callback(contender.close)
            for round_number in range(rounds + 1):
                for work, run in WORK.items():
                    for contender in contenders[round_number % 4 :] + contenders[: round_number % 4]:
                        started = time.perf_counter()
                        with anyio.fail_after(60):
                            count = await run(contender)
                        if round_number:  # the first round warms up
                            rate = count / (time.perf_counter() - started)
                            rates[work].setdefault(contender.name, []).append(rate)
    return {work: {name: statistics.median(of) for name, of in by.items()} for work, by in rates.items()}


def table(medians: dict[str, dict[str, float]]) -> str:
    """Return the medians as lines for people: messages per second, and the ratio to raw aio-pika."""
    lines = [f"{'work':28}{'contender':24}{'msg/s':>9}{'x raw':>8}"]
    for work, rates in medians.items():
        lines += [f"{work:28}{name:24}{rate:9.0f}{rate / rates[Raw.name]:8.2f}" for name, rate in rates.items()]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds, after one to warm up")
    parser.add_argument("--json", action="store_true", help="print the medians as JSON")
    arguments = parser.parse_args()
    medians = asyncio.run(measure(arguments.rounds))
    sys.stdout.write((json.dumps(medians, indent=2) if arguments.json else table(medians)) + "\n")


if __name__ == "__main__":
    main()
