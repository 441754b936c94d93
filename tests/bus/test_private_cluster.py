"""Three private nodes: queues on all of them, and clients that go on at another node when theirs is killed."""

from __future__ import annotations

import zlib
from pathlib import Path

import anyio
import pytest

from bus.harness import AGENTS, ALLOWED
from bus.playground import PLAYGROUND, Ping, Pong
from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import find_server
from interlock.bus.private_cluster import PrivateCluster
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.rabbitmq.topology import JOURNAL, parking_queue
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.slow,
    pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server is installed"),
]

PINGS = 40
DEADLINE = 240.0
"""Seconds; three Erlang VMs on two cores that others use as well."""


def beginning_at(first: str, urls: list[str], identity: str) -> list[str]:
    """Return the addresses in an order in which this identity begins at the first: see `Connection`."""
    others = [url for url in urls if url != first]
    others.insert(zlib.crc32(identity.encode()) % len(urls), first)
    return others


async def test_requests_are_answered_through_the_loss_of_the_node_that_leads(tmp_path: Path) -> None:
    answered: list[int] = []

    async def answer(ping: Envelope[Message]) -> Message:
        assert isinstance(ping.payload, Ping)
        return Pong(number=ping.payload.number)

    async with PrivateCluster(tmp_path, definitions=definitions(ALLOWED, observers=AGENTS)) as cluster:
        admin = await RabbitTransport.connect(cluster.urls(), identity=ADMIN, journal=False)
        await admin.declare(Topology((AgentQueue("beta-agent", delivery_limit=20),)))
        await admin.aclose()
        await cluster.wait_until_in_sync(timeout=DEADLINE)
        leaders = await cluster.leaders()
        assert leaders.keys() == {"beta-agent", parking_queue("beta-agent"), JOURNAL}
        lost = leaders["beta-agent"]
        # Both begin at the node that dies, so both have to go to another.
        alpha, beta = [
            await RabbitTransport.connect(
                beginning_at(lost.url(agent), cluster.urls(agent), agent), identity=agent, watch=0.5
            )
            for agent in ("alpha-agent", "beta-agent")
        ]
        asking = Bus(alpha, clock=SystemClock(), catalogue=PLAYGROUND)
        answering = Bus(beta, clock=SystemClock(), catalogue=PLAYGROUND)
        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answering.subscribe, answer)
                for number in range(PINGS):
                    if number == PINGS // 2:
                        await lost.kill()
                    pong = await asking.request(
                        Ping(number=number), to="beta-agent", answers=Pong, timeout=60.0, deadline=60.0
                    )
                    answered.append(pong.number)
                tasks.cancel_scope.cancel()
        assert answered == list(range(PINGS))
        assert asking.statistics().pending == 0
        assert not lost.is_running
        assert (await cluster.leaders())["beta-agent"] is not lost
        await lost.start(timeout=DEADLINE)
        await cluster.wait_until_in_sync(timeout=DEADLINE)
        await asking.aclose()
        await alpha.aclose()
        await beta.aclose()
