"""What only the memory transport does."""

from __future__ import annotations

import anyio
import pytest

from bus.harness import outgoing, take
from interlock.bus.errors import UnconfirmedError
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology

PONGS = frozenset({"pong"})


async def test_two_brokers_of_one_process_know_nothing_of_each_other() -> None:
    one, other = MemoryBroker(), MemoryBroker()
    for broker in (one, other):
        broker.declare(Topology((AgentQueue("beta-agent"),)))
    await one.connect("alpha-agent").publish(outgoing(b"one"))
    await other.connect("alpha-agent").publish(outgoing(b"other"))
    async with other.connect("beta-agent").consume() as deliveries:
        assert (await take(deliveries))[0].body == b"other"


async def test_an_announcement_refused_by_one_full_queue_still_reaches_the_others() -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("beta-agent", PONGS, max_length=1), AgentQueue("gamma-agent", PONGS))))
    alpha = broker.connect("alpha-agent")
    await alpha.publish(outgoing(b"1", receiver="all", type="pong"))
    with pytest.raises(UnconfirmedError, match="beta-agent"):
        await alpha.publish(outgoing(b"2", receiver="all", type="pong"))
    async with broker.connect("gamma-agent").consume() as deliveries:
        assert [delivery.body for delivery in await take(deliveries, 2)] == [b"1", b"2"]


async def test_an_observer_that_lags_loses_the_oldest_copies_only() -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("beta-agent"),)))
    alpha = broker.connect("alpha-agent")
    async with alpha.observe("#") as copies:
        for number in range(10_001):
            await alpha.publish(outgoing(b"%d" % number))
        assert (await take(copies, ack=False))[0].body == b"1"


async def test_every_publish_lets_other_tasks_run() -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("beta-agent"),)))
    alpha = broker.connect("alpha-agent")
    turns: list[str] = []

    async def publish(name: str) -> None:
        for _ in range(2):
            await alpha.publish(outgoing())
            turns.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(publish, "a")
        group.start_soon(publish, "b")
    assert turns == ["a", "b", "a", "b"]


def test_a_broker_shows_its_queues() -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("beta-agent"),)))
    assert repr(broker) == "MemoryBroker(queues=['beta-agent'], observers=0)"
    assert repr(broker.queue("beta-agent")) == "MemoryQueue('beta-agent', ready=0, parked=0)"
