"""One private RabbitMQ per test session, and both transports behind one fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import pytest
from anyio.from_thread import start_blocking_portal

from bus.harness import AGENTS, ALLOWED, RESTRICTED, Harness
from interlock.bus.memory import MemoryBroker
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.rabbitmq.connection import Client
from interlock.bus.rabbitmq.topology import parking_queue
from interlock.bus.transport import AgentQueue, Topology, Transport

MISSING = "no rabbitmq-server: `make test` installs it, or `apt-get install --no-install-recommends rabbitmq-server`"


def topology(agents: tuple[str | AgentQueue, ...]) -> Topology:
    return Topology(tuple(AgentQueue(agent) if isinstance(agent, str) else agent for agent in agents))


class MemoryHarness:
    """The in-process broker."""

    name = "memory"

    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._open: list[Transport] = []

    async def declare(self, *agents: str | AgentQueue) -> None:
        self._broker.declare(topology(agents))

    async def connect(self, identity: str) -> Transport:
        self._open.append(transport := self._broker.connect(identity))
        return transport

    async def aclose(self) -> None:
        for transport in self._open:
            await transport.aclose()


class RabbitHarness:
    """The session's RabbitMQ, with the test's queues removed afterwards."""

    name = "rabbitmq"

    def __init__(self, broker: PrivateBroker, *, client: Client = "tap") -> None:
        self._broker = broker
        self._client: Client = client
        self._open: list[Transport] = []
        self._declared: set[str] = set()

    async def declare(self, *agents: str | AgentQueue) -> None:
        wanted = topology(agents)
        self._declared |= {agent.agent for agent in wanted.agents}
        await (await self.connect(ADMIN)).declare(wanted)

    async def connect(self, identity: str) -> Transport:
        transport = await RabbitTransport.connect(
            self._broker.url(identity), identity=identity, watch=0.5, client=self._client
        )
        self.opened(transport)
        return transport

    @property
    def transports(self) -> tuple[Transport, ...]:
        """All that were opened."""
        return tuple(self._open)

    def opened(self, transport: Transport) -> None:
        """Close this one, too, after the test."""
        self._open.append(transport)

    async def aclose(self) -> None:
        for transport in self._open:
            await transport.aclose()
        async with await aio_pika.connect(self._broker.url()) as connection, connection.channel() as channel:
            for agent in self._declared:
                await channel.queue_delete(agent)
                await channel.queue_delete(parking_queue(agent))


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    """A running broker with a user per agent, shared by the session; tests leave no queue behind."""
    if find_server() is None:
        pytest.fail(MISSING)
    directory: Path = tmp_path_factory.mktemp("rabbitmq")
    broker = PrivateBroker(
        directory, definitions=definitions(ALLOWED | {RESTRICTED: {("beta-agent", "ping")}}, observers=AGENTS)
    )
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(broker):
        yield broker


@pytest.fixture
async def rabbit(rabbitmq: PrivateBroker) -> AsyncIterator[RabbitHarness]:
    """RabbitMQ alone, for what only it does."""
    harness = RabbitHarness(rabbitmq)
    yield harness
    await harness.aclose()


@pytest.fixture(
    params=[
        "memory",
        pytest.param("tap", id="rabbitmq", marks=pytest.mark.rabbitmq),
        pytest.param("aiormq", id="rabbitmq by aiormq alone", marks=pytest.mark.rabbitmq),
    ]
)
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    """Each transport in turn, RabbitMQ over both clients."""
    if request.param == "memory":
        harness: MemoryHarness | RabbitHarness = MemoryHarness()
    else:
        harness = RabbitHarness(request.getfixturevalue("rabbitmq"), client=request.param)
    yield harness
    await harness.aclose()
