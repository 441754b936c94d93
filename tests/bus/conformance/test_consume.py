"""How deliveries reach a consumer, on every transport."""

from __future__ import annotations

import anyio
import pytest

from bus.harness import DEADLINE, Harness, nothing_arrives, outgoing, take
from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.transport import Delivery, Transport
from interlock.protocol.errors import UsageError


async def publish(transport: Transport, count: int, **changes: str) -> None:
    for number in range(count):
        await transport.publish(outgoing(b"%d" % number, **changes))


def numbers(deliveries: list[Delivery]) -> list[int]:
    return [int(delivery.body) for delivery in deliveries]


async def test_what_was_acknowledged_does_not_come_again(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 3)
    beta = await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        await take(deliveries, 3)
    async with beta.consume() as deliveries:
        await nothing_arrives(deliveries)


async def test_messages_published_while_consuming_arrive(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        for number in range(5):
            await alpha.publish(outgoing(b"%d" % number))
            assert numbers(await take(deliveries)) == [number]


async def test_a_first_delivery_is_attempt_one(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 1)
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    assert delivery.attempt == 1


async def test_what_a_consumer_leaves_unsettled_comes_again_in_order(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 5)
    beta = await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        await take(deliveries, 5, ack=False)
    async with beta.consume() as deliveries:
        taken = await take(deliveries, 5)
    assert numbers(taken) == [0, 1, 2, 3, 4]
    assert {delivery.attempt for delivery in taken} == {2}


async def test_only_what_was_delivered_has_spent_an_attempt(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 3)
    beta = await broker.connect("beta-agent")
    async with beta.consume(prefetch=1) as deliveries:
        await take(deliveries, ack=False)
    async with beta.consume() as deliveries:
        assert [delivery.attempt for delivery in await take(deliveries, 3)] == [2, 1, 1]


async def test_gaps_that_were_acknowledged_stay_gaps(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 5)
    beta = await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        taken = await take(deliveries, 5, ack=False)
        await taken[1].ack()
        await taken[3].ack()
    async with beta.consume() as deliveries:
        assert numbers(await take(deliveries, 3)) == [0, 2, 4]


async def test_redelivered_messages_come_before_newer_ones(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await broker.connect("alpha-agent"), await broker.connect("beta-agent")
    await publish(alpha, 2)
    async with beta.consume() as deliveries:
        await take(deliveries, 2, ack=False)
        await alpha.publish(outgoing(b"2"))
    async with beta.consume() as deliveries:
        assert numbers(await take(deliveries, 3)) == [0, 1, 2]


async def test_closing_the_transport_gives_back_what_is_unsettled(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 2)
    first = await broker.connect("beta-agent")
    async with first.consume() as deliveries:
        await take(deliveries, 2, ack=False)
        await first.aclose()
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        assert numbers(await take(deliveries, 2)) == [0, 1]


async def test_prefetch_bounds_what_is_unsettled(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 5)
    async with (await broker.connect("beta-agent")).consume(prefetch=2) as deliveries:
        first, _ = await take(deliveries, 2, ack=False)
        await nothing_arrives(deliveries)
        await first.ack()
        assert numbers(await take(deliveries, ack=False)) == [2]
        await nothing_arrives(deliveries)


async def test_one_consumer_at_a_time_is_served_and_the_next_takes_over(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    first, second = await broker.connect("beta-agent"), await broker.connect("beta-agent")
    async with first.consume(prefetch=10) as active, second.consume(prefetch=10) as standby:
        await publish(alpha, 4)
        assert numbers(await take(active, 2)) == [0, 1]
        await nothing_arrives(standby)
        await first.aclose()
        assert numbers(await take(standby, 2)) == [2, 3]


async def test_each_agent_receives_its_own_messages(broker: Harness) -> None:
    await broker.declare("beta-agent", "gamma-agent")
    alpha = await broker.connect("alpha-agent")
    await alpha.publish(outgoing(b"beta"))
    await alpha.publish(outgoing(b"gamma", receiver="gamma-agent"))
    for agent in ("beta-agent", "gamma-agent"):
        async with (await broker.connect(agent)).consume() as deliveries:
            [delivery] = await take(deliveries)
            assert agent.startswith(delivery.body.decode())
            await nothing_arrives(deliveries, within=0.1)


async def test_an_agent_may_send_to_itself(broker: Harness) -> None:
    await broker.declare("beta-agent")
    beta = await broker.connect("beta-agent")
    await beta.publish(outgoing(b"self", sender="beta-agent"))
    async with beta.consume() as deliveries:
        assert (await take(deliveries))[0].body == b"self"


async def test_settling_twice_is_a_mistake_that_is_told(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 1)
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
        with pytest.raises(UsageError, match="twice"):
            await delivery.reject()


async def test_settling_after_the_consumer_has_left_changes_nothing(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await publish(await broker.connect("alpha-agent"), 1)
    beta = await broker.connect("beta-agent")
    async with beta.consume() as deliveries:
        [late] = await take(deliveries, ack=False)
    await late.ack()
    async with beta.consume() as deliveries:
        assert (await take(deliveries))[0].attempt == 2


async def test_a_queue_that_was_not_declared_cannot_be_consumed(broker: Harness) -> None:
    await broker.declare("beta-agent")
    gamma = await broker.connect("gamma-agent")
    with pytest.raises(BrokerUnavailableError, match="declare"):
        async with gamma.consume():
            pass


async def test_the_iteration_ends_when_the_transport_is_closed(broker: Harness) -> None:
    await broker.declare("beta-agent")
    beta = await broker.connect("beta-agent")
    with anyio.fail_after(DEADLINE):
        async with anyio.create_task_group() as group, beta.consume() as deliveries:
            group.start_soon(beta.aclose)
            assert [delivery async for delivery in deliveries] == []


async def test_waiting_for_a_delivery_can_be_cancelled_without_losing_one(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        await nothing_arrives(deliveries, within=0.05)
        await publish(alpha, 2)
        assert numbers(await take(deliveries, 2)) == [0, 1]


async def test_a_transport_tells_how_it_stands(broker: Harness) -> None:
    await broker.declare("beta-agent")
    beta = await broker.connect("beta-agent")

    before = beta.status
    async with beta.consume():
        within = beta.status
    after = beta.status
    await beta.aclose()

    assert (before.connected, before.consuming, before.reconnects) == (True, False, 0)
    assert (within.connected, within.consuming, within.reconnects) == (True, True, 0)
    assert (after.connected, after.consuming) == (True, False)
    assert not beta.status.connected
