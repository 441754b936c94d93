"""Where the agents of a test meet: a broker of the test's own, in memory or RabbitMQ, cleaned up afterwards."""

from __future__ import annotations

__all__ = ["BrokerForTests", "MemoryForTests", "RabbitForTests"]

from collections.abc import Callable
from typing import Protocol

import anyio

from interlock.bus.bus import Bus
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology, Transport
from interlock.protocol.catalogue import CATALOGUE, Catalogue


class BrokerForTests(Protocol):
    """One broker as a test sees it. Everything that was opened through it is closed by `aclose`."""

    @property
    def kind(self) -> str:
        """`memory` or `rabbitmq`."""
        ...

    async def declare(self, *agents: str | AgentQueue) -> None:
        """Give these agents their queues; by name with the default limits."""
        ...

    async def transport(self, identity: str) -> Transport:
        """Connect as this agent; without a store, for what travels below messages."""
        ...

    async def connect(self, identity: str, *, catalogue: Catalogue = CATALOGUE, clock: Clock | None = None) -> Bus:
        """Give this agent a queue and connect as it."""
        ...

    async def aclose(self) -> None:
        """Close what was opened, and remove what was declared. Idempotent."""
        ...


class MemoryForTests:
    """A broker in this process that ends with the test."""

    kind = "memory"

    def __init__(self) -> None:
        self._broker = MemoryBroker()
        self._open: list[Transport] = []

    def __repr__(self) -> str:
        return f"MemoryForTests({self._broker!r})"

    async def declare(self, *agents: str | AgentQueue) -> None:
        """See `BrokerForTests.declare`."""
        self._broker.declare(_topology(agents))

    async def transport(self, identity: str) -> Transport:
        """See `BrokerForTests.transport`."""
        self._open.append(transport := self._broker.connect(identity))
        return transport

    async def connect(self, identity: str, *, catalogue: Catalogue = CATALOGUE, clock: Clock | None = None) -> Bus:
        """See `BrokerForTests.connect`."""
        await self.declare(identity)
        return Bus(await self.transport(identity), clock=clock or SystemClock(), catalogue=catalogue)

    async def aclose(self) -> None:
        """See `BrokerForTests.aclose`."""
        await _close(self._open)


class RabbitForTests:
    """A RabbitMQ that tests share one after the other; each finds it without queues."""

    kind = "rabbitmq"

    def __init__(self, url: Callable[[str], str], *, admin: str) -> None:
        """`url` gives an agent's URL, with credentials; `admin` is the URL of a user who may declare and delete."""
        self._url = url
        self._admin = admin
        self._open: list[Transport] = []
        self._declared: set[str] = set()

    def __repr__(self) -> str:
        return f"RabbitForTests(declared={sorted(self._declared)})"

    async def declare(self, *agents: str | AgentQueue) -> None:
        """See `BrokerForTests.declare`."""
        from interlock.bus.rabbitmq import ADMIN, RabbitTransport, remove_queues

        topology = _topology(agents)
        fresh = [agent.agent for agent in topology.agents if agent.agent not in self._declared]
        # What an earlier run that was killed has left behind belongs to no test.
        await remove_queues(self._admin, fresh)
        self._declared |= {agent.agent for agent in topology.agents}
        transport = await RabbitTransport.connect(self._admin, identity=ADMIN, journal=False)
        try:
            await transport.declare(topology)
        finally:
            with anyio.CancelScope(shield=True):
                await transport.aclose()

    async def transport(self, identity: str) -> Transport:
        """See `BrokerForTests.transport`."""
        from interlock.bus.rabbitmq import RabbitTransport

        transport = await RabbitTransport.connect(self._url(identity), identity=identity)
        self._open.append(transport)
        return transport

    async def connect(self, identity: str, *, catalogue: Catalogue = CATALOGUE, clock: Clock | None = None) -> Bus:
        """See `BrokerForTests.connect`."""
        await self.declare(identity)
        return Bus(await self.transport(identity), clock=clock or SystemClock(), catalogue=catalogue)

    async def aclose(self) -> None:
        """See `BrokerForTests.aclose`."""
        from interlock.bus.rabbitmq import remove_queues

        await _close(self._open)
        await remove_queues(self._admin, sorted(self._declared))
        self._declared.clear()


def _topology(agents: tuple[str | AgentQueue, ...]) -> Topology:
    return Topology(tuple(AgentQueue(agent) if isinstance(agent, str) else agent for agent in agents))


async def _close(transports: list[Transport]) -> None:
    with anyio.CancelScope(shield=True):
        while transports:
            await transports.pop().aclose()
