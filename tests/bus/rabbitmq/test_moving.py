"""Replacing a queue on a real broker: nothing is lost, nothing overtakes, and senders stay who they were."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from bus.harness import DEADLINE, outgoing, take
from bus.rabbitmq.administering import Managed
from interlock.bus.clock import SystemClock
from interlock.bus.errors import UnroutableError
from interlock.bus.rabbitmq import RabbitTransport, definitions
from interlock.bus.rabbitmq.administration import Administration
from interlock.bus.rabbitmq.drift import moving_queue
from interlock.bus.rabbitmq.topology import MESSAGES, Queue
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.errors import UsageError

pytestmark = pytest.mark.rabbitmq

OLD = Topology((AgentQueue("beta-agent"),))
NEW = Topology((AgentQueue("beta-agent", max_length=500_000, delivery_limit=7),))


@pytest.fixture
async def sender(managed: Managed) -> AsyncIterator[RabbitTransport]:
    await managed.administration.add(await managed.administration.drift(OLD))
    transport = await RabbitTransport.connect(managed.broker.url("alpha-agent"), identity="alpha-agent", journal=False)
    yield transport
    await transport.aclose()


async def wanted(managed: Managed) -> Queue:
    drift = await managed.administration.drift(NEW)
    (change,) = drift.changes
    assert isinstance(change.wanted, Queue)
    return change.wanted


async def replace(managed: Managed, queue: Queue) -> int:
    """Over connections of its own, as every run of the command has."""
    urls = [managed.broker.url()]
    async with Administration.open(urls, management=managed.management, clock=SystemClock()) as administration:
        planned = await administration.planned(NEW)
        with anyio.fail_after(60):
            return await administration.replace(queue, planned=planned)


async def received(managed: Managed, count: int) -> list[tuple[bytes, str | None, str]]:
    beta = await RabbitTransport.connect(managed.broker.url("beta-agent"), identity="beta-agent", journal=False)
    try:
        async with beta.consume() as deliveries:
            return [(d.body, d.sender, d.routing_key) for d in await take(deliveries, count)]
    finally:
        await beta.aclose()


async def test_messages_keep_their_order_sender_and_key_and_the_queue_is_as_wanted(
    managed: Managed, sender: RabbitTransport
) -> None:
    for number in range(450):
        await sender.publish(outgoing(b"%d" % number))

    moved = await replace(managed, await wanted(managed))

    assert moved == 450
    assert (await managed.administration.drift(NEW)).is_empty
    assert await received(managed, 450) == [(b"%d" % n, "alpha-agent", "beta-agent.ping") for n in range(450)]


async def test_what_is_published_meanwhile_is_confirmed_or_returned_and_comes_after_what_was_there(
    managed: Managed, sender: RabbitTransport
) -> None:
    for number in range(100):
        await sender.publish(outgoing(b"%d" % number))
    queue, sent, done = await wanted(managed), 100, anyio.Event()

    async def publish() -> None:
        nonlocal sent
        while not done.is_set():
            try:
                await sender.publish(outgoing(b"%d" % sent))
            except UnroutableError:
                continue  # not stored: the same message is sent again, as the relay does
            sent += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(publish)
        await replace(managed, queue)
        done.set()

    assert sent > 100
    assert [body for body, *_ in await received(managed, sent)] == [b"%d" % number for number in range(sent)]


async def test_a_queue_with_a_consumer_is_left_alone(managed: Managed, sender: RabbitTransport) -> None:
    queue = await wanted(managed)
    beta = await RabbitTransport.connect(managed.broker.url("beta-agent"), identity="beta-agent", journal=False)
    async with beta.consume():
        with pytest.raises(UsageError, match="beta-agent has 1 consumers: stop its agent"):
            await replace(managed, queue)
    await beta.aclose()
    await sender.publish(outgoing())


@pytest.mark.parametrize("moments", range(7))
async def test_an_interrupted_replacement_is_gone_on_with(
    managed: Managed, sender: RabbitTransport, moments: int
) -> None:
    """Each run is cut off a little later: before the queue is emptied, while nothing is bound, on the way back."""
    for number in range(300):
        await sender.publish(outgoing(b"%d" % number))
    queue = await wanted(managed)

    with anyio.move_on_after(0.05 + moments * 0.7):
        await replace(managed, queue)
    drift = await managed.administration.drift(NEW)
    if not drift.is_empty:
        assert drift.changes or drift.interrupted == ("beta-agent",)
        await replace(managed, queue)
    await sender.publish(outgoing(b"after"))

    assert (await managed.administration.drift(NEW)).is_empty
    bodies = list(dict.fromkeys(body for body, *_ in await everything(managed)))  # as the inbox does
    assert bodies == [*(b"%d" % number for number in range(300)), b"after"]


async def everything(managed: Managed) -> list[tuple[bytes, str | None, str]]:
    found = await managed.channel.declare_queue("beta-agent", passive=True)
    return await received(managed, found.declaration_result.message_count or 0)


async def test_announcements_that_an_agent_bound_itself_stay_bound(managed: Managed, sender: RabbitTransport) -> None:
    queue = await wanted(managed)
    bound = await managed.channel.get_queue("beta-agent")
    await bound.bind(MESSAGES, "all.pong")

    with anyio.move_on_after(1.5):  # while nothing is bound to the old queue
        await replace(managed, queue)
    await replace(managed, queue)
    await sender.publish(outgoing(b"heard", receiver="all", type="pong"))

    assert [body for body, *_ in await received(managed, 1)] == [b"heard"]


async def test_a_user_without_the_tag_is_refused_before_anything_is_touched(
    managed: Managed, sender: RabbitTransport
) -> None:
    await sender.publish(outgoing(b"one"))
    queue = await wanted(managed)
    await managed.broker.control("set_user_tags", "interlock-admin", "administrator")
    try:
        with pytest.raises(UsageError, match="give it the tag impersonator"):
            await replace(managed, queue)
    finally:
        await managed.broker.control("set_user_tags", "interlock-admin", "administrator", "impersonator")

    assert (
        moving_queue("beta-agent")
        not in (await managed.administration.observe(await managed.administration.planned(NEW))).queues
    )
    assert len(await received(managed, 1)) == 1


async def test_a_new_queue_that_is_too_small_keeps_what_does_not_fit_aside(
    managed: Managed, sender: RabbitTransport
) -> None:
    # More than are moved at a time: of those that are on their way when the queue becomes full, all may still pass.
    sent = [b"%d" % number for number in range(250)]
    for body in sent:
        await sender.publish(outgoing(body))
    small = Topology((AgentQueue("beta-agent", max_length=5),))
    planned = await managed.administration.planned(small)
    (queue,) = (queue for queue in planned.queues if queue.name == "beta-agent")

    with pytest.raises(UsageError, match="full: start its agent"):
        await managed.administration.replace(queue, planned=planned)
    beta = await RabbitTransport.connect(managed.broker.url("beta-agent"), identity="beta-agent", journal=False)
    bodies: list[bytes] = []
    async with beta.consume() as deliveries:
        with anyio.fail_after(60):
            while len(set(bodies)) < len(sent):
                try:
                    await managed.administration.replace(queue, planned=planned)
                except UsageError as error:
                    assert "full" in str(error)  # noqa: PT017 - every other refusal would be a defect
                with anyio.move_on_after(DEADLINE / 10):
                    while True:
                        (delivery,) = await take(deliveries)
                        bodies.append(delivery.body)
    await beta.aclose()

    assert list(dict.fromkeys(bodies)) == sent


def test_the_administrator_has_the_tag_that_moving_takes() -> None:
    (admin, *_) = definitions({}).document["users"]
    assert admin["tags"] == ["administrator", "impersonator"]
