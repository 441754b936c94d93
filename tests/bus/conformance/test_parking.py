"""What becomes of messages that are given back or refused, on every transport."""

from __future__ import annotations

import pytest

from bus.harness import Harness, eventually, nothing_arrives, outgoing, take
from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.transport import AgentQueue, Parked, Transport


async def parked(transport: Transport, count: int) -> tuple[Parked, ...]:
    return await eventually(transport.parked, lambda found: len(found) == count)


def as_published(found: Parked) -> tuple[bytes, str, str | None, str]:
    return found.body, found.routing_key, found.sender, found.reason


async def with_parked(broker: Harness, *bodies: bytes) -> Transport:
    """Return the transport of an agent that has refused these."""
    await broker.declare("beta-agent")
    alpha, beta = await broker.connect("alpha-agent"), await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        for body in bodies:
            await alpha.publish(outgoing(body))
            [delivery] = await take(deliveries, ack=False)
            await delivery.reject()
    await parked(beta, len(bodies))
    return beta


async def test_a_message_that_is_given_back_comes_again_as_the_next_attempt(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing())
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        for attempt in (1, 2, 3):
            [delivery] = await take(deliveries, ack=False)
            assert delivery.attempt == attempt
            await delivery.requeue()


async def test_a_message_that_is_given_back_comes_before_those_behind_it(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    for body in (b"first", b"second"):
        await alpha.publish(outgoing(body))
    async with (await broker.connect("beta-agent")).consume(prefetch=1) as deliveries:
        [first] = await take(deliveries, ack=False)
        await first.requeue()
        assert [delivery.body for delivery in await take(deliveries, 2)] == [b"first", b"second"]


async def test_past_the_delivery_limit_a_message_is_parked(broker: Harness) -> None:
    await broker.declare(AgentQueue("beta-agent", delivery_limit=2))
    await (await broker.connect("alpha-agent")).publish(outgoing(b"poison"))
    beta = await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        for _ in range(3):  # the first attempt and two returns
            [delivery] = await take(deliveries, ack=False)
            await delivery.requeue()
        await nothing_arrives(deliveries)
    [found] = await parked(beta, 1)
    assert as_published(found) == (b"poison", "beta-agent.ping", "alpha-agent", "delivery_limit")


async def test_the_deaths_of_consumers_count_toward_the_delivery_limit(broker: Harness) -> None:
    await broker.declare(AgentQueue("beta-agent", delivery_limit=1))
    await (await broker.connect("alpha-agent")).publish(outgoing(b"poison"))
    for _ in range(2):
        beta = await broker.connect("beta-agent")
        async with beta.consume() as deliveries:
            await take(deliveries, ack=False)
            await beta.aclose()
    [found] = await parked(await broker.connect("beta-agent"), 1)
    assert found.reason == "delivery_limit"


async def test_a_rejected_message_is_parked_at_once_with_its_sender_and_key(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(b"bad", type="pong"))
    beta = await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        [delivery] = await take(deliveries, ack=False)
        await delivery.reject()
        await nothing_arrives(deliveries)
    [found] = await parked(beta, 1)
    assert as_published(found) == (b"bad", "beta-agent.pong", "alpha-agent", "rejected")
    assert (found.content_type, found.reply_to) == ("application/json", None)


async def test_parking_one_message_does_not_hold_up_the_next(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    for body in (b"bad", b"good"):
        await alpha.publish(outgoing(body))
    async with (await broker.connect("beta-agent")).consume(prefetch=1) as deliveries:
        [bad] = await take(deliveries, ack=False)
        await bad.reject()
        assert (await take(deliveries))[0].body == b"good"


async def test_looking_at_parked_messages_leaves_them_there(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await broker.connect("alpha-agent"), await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        for number in range(4):
            await alpha.publish(outgoing(b"%d" % number))
            [delivery] = await take(deliveries, ack=False)
            await delivery.reject()
    everything = await parked(beta, 4)
    assert [found.body for found in everything] == [b"0", b"1", b"2", b"3"]
    assert await parked(beta, 4) == everything


async def test_as_many_parked_messages_are_shown_as_were_asked_for_oldest_first(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await broker.connect("alpha-agent"), await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        for number in range(3):
            await alpha.publish(outgoing(b"%d" % number))
            [delivery] = await take(deliveries, ack=False)
            await delivery.reject()
    await parked(beta, 3)
    assert [found.body for found in await beta.parked(limit=2)] == [b"0", b"1"]


async def test_an_agent_s_parking_queue_is_its_own(broker: Harness) -> None:
    await broker.declare("beta-agent", "gamma-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(b"bad"))
    beta = await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        [delivery] = await take(deliveries, ack=False)
        await delivery.reject()
    await parked(beta, 1)
    assert await (await broker.connect("gamma-agent")).parked() == ()


async def test_nothing_is_parked_at_first(broker: Harness) -> None:
    await broker.declare("beta-agent")
    assert await (await broker.connect("beta-agent")).parked() == ()


async def test_an_agent_that_was_not_declared_has_no_parking_queue(broker: Harness) -> None:
    await broker.declare("beta-agent")
    with pytest.raises(BrokerUnavailableError, match="declare"):
        await (await broker.connect("gamma-agent")).parked()


async def test_one_parked_message_is_taken_out_and_the_others_keep_their_order(broker: Harness) -> None:
    beta = await with_parked(broker, b"0", b"1", b"2", b"3")
    async with beta.parking() as deliveries:
        async for delivery in deliveries:
            if delivery.message.body == b"1":
                await delivery.remove()
    assert [found.body for found in await parked(beta, 3)] == [b"0", b"2", b"3"]


async def test_a_look_that_ends_early_leaves_the_rest_there(broker: Harness) -> None:
    beta = await with_parked(broker, b"0", b"1", b"2")
    async with beta.parking() as deliveries:
        await (await anext(deliveries)).remove()
        await anext(deliveries)
    assert {found.body for found in await parked(beta, 2)} == {b"1", b"2"}


async def test_a_look_that_is_broken_off_leaves_everything_there(broker: Harness) -> None:
    beta = await with_parked(broker, b"0", b"1")

    async def broken_off() -> None:
        async with beta.parking() as deliveries:
            await anext(deliveries)
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        await broken_off()
    assert {found.body for found in await parked(beta, 2)} == {b"0", b"1"}


async def test_of_two_parked_messages_that_are_alike_one_is_taken_out(broker: Harness) -> None:
    beta = await with_parked(broker, b"same", b"same")
    async with beta.parking() as deliveries:
        await (await anext(deliveries)).remove()
    assert len(await parked(beta, 1)) == 1


async def test_looking_a_hundred_times_loses_nothing(broker: Harness) -> None:
    beta = await with_parked(broker, b"0", b"1")
    for _ in range(100):  # RabbitMQ 4's own delivery limit is 20
        async with beta.parking() as deliveries:
            assert [delivery.message.body async for delivery in deliveries] == [b"0", b"1"]


async def test_nobody_looks_through_a_parking_queue_that_was_not_declared(broker: Harness) -> None:
    await broker.declare("beta-agent")
    with pytest.raises(BrokerUnavailableError, match="declare"):
        async with (await broker.connect("gamma-agent")).parking() as deliveries:
            await anext(deliveries)
