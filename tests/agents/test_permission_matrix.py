"""Every cell of the catalogue's matrix (sender, receiver, type) on a real broker, by a client that checks nothing.

What is expected is read from the routes that the messages declare; what answers is RabbitMQ with the generated users.
Each pair is tried at the receiver's own address and at an address for replies to it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import AsyncExitStack
from typing import NamedTuple

import aiormq
import pytest
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from anyio import fail_after
from anyio.from_thread import start_blocking_portal

from interlock.agents.permissions import allowed_rows
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.rabbitmq.topology import MESSAGES, reply_prefix
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.message import ALL
from interlock.protocol.roles import ALL_ROLES, BACKEND, CONSOLE, COORDINATOR, DEVOPS

pytestmark = [pytest.mark.rabbitmq, pytest.mark.slow]

AT_ONCE = 8
"""Channels that each sender has open at the same time."""


class Cell(NamedTuple):
    sender: str
    receiver: str
    type: str

    @property
    def is_permitted(self) -> bool:
        return self.sender != self.receiver and CATALOGUE.allows(self.type, self.sender, self.receiver)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its routing keys: the receiver's own and, unless it is everybody, one for replies."""
        if self.receiver == ALL:
            return (f"{ALL}.{self.type}",)
        return (f"{self.receiver}.{self.type}", f"{reply_queue(self.receiver)}.{self.type}")

    @property
    def arrivals(self) -> list[tuple[str, str]]:
        """In which queue it is to arrive, under which routing key."""
        if self.receiver == ALL:
            return [(queue, self.addresses[0]) for queue in ALL_ROLES]
        return list(zip((self.receiver, reply_queue(self.receiver)), self.addresses, strict=True))


TYPES = sorted({message.declaration.type for message in CATALOGUE})
CELLS = [Cell(*names) for names in itertools.product(ALL_ROLES, (*ALL_ROLES, ALL), TYPES)]


def reply_queue(agent: str) -> str:
    return f"{reply_prefix(agent)}matrix"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    users = definitions(allowed_rows(), observers=(CONSOLE,))
    broker = PrivateBroker(tmp_path_factory.mktemp("broker"), definitions=users)
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(broker):
        yield broker


async def open_as(user: str, broker: PrivateBroker, stack: AsyncExitStack) -> AbstractConnection:
    connection = await aiormq.connect(broker.url(user))
    stack.push_async_callback(connection.close)
    return connection


async def declare(broker: PrivateBroker) -> None:
    """Declare what the team has, with every agent listening to all that may be sent to everybody.

    That is more than `announcements`: a route to any agent (`*`) permits its type to `all` as well.
    """
    transport = await RabbitTransport.connect(broker.url(ADMIN), identity=ADMIN)
    try:
        heard = frozenset(cell.type for cell in CELLS if cell.receiver == ALL and cell.is_permitted)
        await transport.declare(Topology(tuple(AgentQueue(agent, announcements=heard) for agent in ALL_ROLES)))
    finally:
        await transport.aclose()


class Readers:
    """Every agent under its own user, at its queue and at a reply queue, counting what arrives."""

    def __init__(self) -> None:
        self.arrived: Counter[tuple[str, str, str]] = Counter()
        self._changed = asyncio.Event()

    async def open(self, broker: PrivateBroker, stack: AsyncExitStack) -> None:
        for agent in ALL_ROLES:
            channel = await (await open_as(agent, broker, stack)).channel()
            reply = reply_queue(agent)
            await channel.queue_declare(reply, exclusive=True)
            await channel.queue_bind(reply, MESSAGES, f"{reply}.#")
            for queue in (agent, reply):
                await channel.basic_consume(queue, self._take(queue), no_ack=True)

    def _take(self, queue: str) -> Callable[[DeliveredMessage], Coroutine[None, None, None]]:
        async def take(message: DeliveredMessage) -> None:
            sender = message.header.properties.user_id
            self.arrived[queue, str(sender), str(message.routing_key)] += 1
            self._changed.set()

        return take

    async def wait_for(self, count: int) -> None:
        while self.arrived.total() < count:
            self._changed.clear()
            await self._changed.wait()


async def is_refused(connection: AbstractConnection, sender: str, address: str) -> bool:
    """Publish once on a channel of its own; a refusal closes that channel alone."""
    channel = await connection.channel()
    try:
        await publish(channel, sender, address)
    except aiormq.exceptions.ChannelAccessRefused:
        return True
    await channel.close()
    return False


async def publish(channel: AbstractChannel, sender: str, address: str) -> None:
    properties = aiormq.spec.Basic.Properties(user_id=sender)
    await channel.basic_publish(b"{}", exchange=MESSAGES, routing_key=address, properties=properties, mandatory=True)


async def try_denied(connection: AbstractConnection, cells: Iterable[Cell]) -> list[Cell]:
    """Return which of these the broker did not refuse."""
    waiting = iter([(cell, address) for cell in cells for address in cell.addresses])
    passed: list[Cell] = []

    async def worker() -> None:
        for cell, address in waiting:
            if not await is_refused(connection, cell.sender, address):
                passed.append(cell)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return passed


async def test_the_broker_delivers_what_the_catalogue_permits_and_refuses_every_other_cell(
    broker: PrivateBroker,
) -> None:
    permitted = [cell for cell in CELLS if cell.is_permitted]
    denied = [cell for cell in CELLS if not cell.is_permitted]
    with fail_after(120):
        await declare(broker)
        readers = Readers()
        async with AsyncExitStack() as stack:
            await readers.open(broker, stack)
            senders = {agent: await open_as(agent, broker, stack) for agent in ALL_ROLES}
            passed = await asyncio.gather(
                *(try_denied(senders[agent], [cell for cell in denied if cell.sender == agent]) for agent in ALL_ROLES)
            )
            # On the same connections, after their refusals: those cost a channel, never the connection.
            for agent in ALL_ROLES:
                channel = await senders[agent].channel()
                for cell in permitted:
                    if cell.sender == agent:
                        for address in cell.addresses:
                            await publish(channel, agent, address)
            expected = Counter((queue, cell.sender, address) for cell in permitted for queue, address in cell.arrivals)
            await readers.wait_for(expected.total())
    assert list(itertools.chain(*passed)) == []
    assert readers.arrived == expected
    print(
        f"{len(CELLS)} cells: {len(permitted)} permitted and delivered, {len(denied)} refused; "
        f"{sum(len(cell.addresses) for cell in denied)} publishes refused, {expected.total()} deliveries"
    )


@pytest.mark.parametrize(
    ("cell", "permitted"),
    [
        (Cell(CONSOLE, COORDINATOR, "approval_granted"), True),
        (Cell(DEVOPS, COORDINATOR, "approval_granted"), False),
        (Cell(CONSOLE, DEVOPS, "approval_granted"), False),
        (Cell(COORDINATOR, DEVOPS, "infrastructure_apply"), True),
        (Cell(BACKEND, DEVOPS, "infrastructure_apply"), False),
    ],
)
def test_the_cells_that_production_hangs_on_are_what_people_expect(cell: Cell, permitted: bool) -> None:
    assert cell.is_permitted is permitted
