"""Denials by a real broker: an agent writes the pairs of its row and reads its own queues, and nothing else."""

from __future__ import annotations

import asyncio
import itertools

import aio_pika
import aiormq
import anyio
import pytest

from bus.conftest import RabbitHarness
from bus.harness import AGENTS, RESTRICTED, outgoing, take
from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES
from interlock.bus.transport import AgentQueue, Topology

pytestmark = pytest.mark.rabbitmq

CELLS = list(itertools.product((*AGENTS, RESTRICTED), (*AGENTS, "all"), ("ping", "pong", "destroy")))


def is_allowed(sender: str, receiver: str, type_: str) -> bool:
    return (receiver, type_) == ("beta-agent", "ping") if sender == RESTRICTED else type_ in {"ping", "pong"}


async def test_every_cell_of_the_matrix_is_as_generated(rabbit: RabbitHarness) -> None:
    await rabbit.declare(*AGENTS)
    transports = {sender: await rabbit.connect(sender) for sender in (*AGENTS, RESTRICTED)}
    wrong = []
    for sender, receiver, type_ in CELLS:
        try:
            await transports[sender].publish(outgoing(sender=sender, receiver=receiver, type=type_))
        except NotPermittedError:
            passed = False
        else:
            passed = True
        if passed != is_allowed(sender, receiver, type_):
            wrong.append((sender, receiver, type_))
    assert wrong == []


async def test_a_refusal_names_the_pair_and_leaves_the_connection_usable(rabbit: RabbitHarness) -> None:
    await rabbit.declare("beta-agent")
    alpha = await rabbit.connect("alpha-agent")
    with pytest.raises(NotPermittedError, match="'destroy' to beta-agent"):
        await alpha.publish(outgoing(type="destroy"))
    await alpha.publish(outgoing())


async def test_a_refusal_does_not_fail_the_messages_around_it(rabbit: RabbitHarness) -> None:
    await rabbit.declare("beta-agent")
    alpha = await rabbit.connect("alpha-agent")
    messages = [outgoing(b"%d" % number, type="destroy" if number == 20 else "ping") for number in range(40)]
    results = await asyncio.gather(*(alpha.publish(message) for message in messages), return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == [20]
    assert isinstance(results[20], NotPermittedError)
    received: set[bytes] = set()
    async with (await rabbit.connect("beta-agent")).consume() as deliveries:
        while len(received) < 39:
            received |= {delivery.body for delivery in await take(deliveries)}


async def test_an_agent_cannot_consume_another_s_queue(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    async with await aio_pika.connect(rabbitmq.url("alpha-agent")) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await channel.basic_consume("beta-agent", lambda _: anyio.lowlevel.checkpoint())


async def test_who_may_not_observe_cannot_read_the_journal_s_stream_either(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    async with await aio_pika.connect(rabbitmq.url(RESTRICTED)) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        await channel.basic_qos(prefetch_count=10)
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await channel.basic_consume(
                JOURNAL, lambda _: anyio.lowlevel.checkpoint(), arguments={"x-stream-offset": "first"}
            )


async def test_an_agent_cannot_have_another_s_messages_copied_to_its_own_queue(rabbitmq: PrivateBroker) -> None:
    async with await aio_pika.connect(rabbitmq.url(RESTRICTED)) as connection:
        for exchange in (MESSAGES, JOURNAL):
            channel = await (await connection.channel()).get_underlay_channel()
            name = f"reply.{RESTRICTED}.greedy"
            await channel.queue_declare(name, exclusive=True)
            with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
                await channel.queue_bind(name, exchange, "beta-agent.#")


async def test_an_agent_cannot_write_around_its_row_through_the_default_exchange(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    async with await aio_pika.connect(rabbitmq.url("alpha-agent")) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await channel.basic_publish(b"{}", routing_key="beta-agent")


async def test_the_broker_itself_refuses_a_forged_sender(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    forged = aiormq.spec.Basic.Properties(user_id="gamma-agent", message_id="1")
    async with await aio_pika.connect(rabbitmq.url("alpha-agent")) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        with pytest.raises(aiormq.exceptions.ChannelPreconditionFailed):
            await channel.basic_publish(b"{}", exchange=MESSAGES, routing_key="beta-agent.ping", properties=forged)


async def test_a_message_without_a_sender_arrives_as_one_of_nobody(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    async with await aio_pika.connect(rabbitmq.url("alpha-agent")) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        await channel.basic_publish(b"{}", exchange=MESSAGES, routing_key="beta-agent.ping")
    async with (await rabbit.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    assert (delivery.sender, delivery.content_type, delivery.attempt) == (None, None, 1)


async def test_an_agent_that_is_no_observer_cannot_observe(rabbit: RabbitHarness) -> None:
    await rabbit.declare("beta-agent")
    with pytest.raises(NotPermittedError):
        async with (await rabbit.connect(RESTRICTED)).observe("#"):
            pass


async def test_an_agent_cannot_declare_the_topology(rabbit: RabbitHarness) -> None:
    await rabbit.declare("beta-agent")
    alpha = await rabbit.connect("alpha-agent")
    with pytest.raises(NotPermittedError, match="may not declare"):
        await alpha.declare(Topology((AgentQueue("late-agent"),)))


async def test_a_broker_without_the_topology_says_what_to_do(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    async with await aio_pika.connect(rabbitmq.url()) as connection, connection.channel() as channel:
        await channel.exchange_delete(MESSAGES)
    with pytest.raises(BrokerUnavailableError, match="interlock topology apply"):
        await (await rabbit.connect("alpha-agent")).publish(outgoing())
    await rabbit.declare("beta-agent")
