"""What a publish promises, on every transport."""

from __future__ import annotations

import asyncio

import anyio
import anyio.lowlevel
import pytest

from bus.harness import DEADLINE, Harness, eventually, outgoing, take
from interlock.bus.admission import MAX_BODY_BYTES
from interlock.bus.errors import NotPermittedError, UnconfirmedError, UnroutableError
from interlock.bus.transport import AgentQueue
from interlock.protocol.errors import InterlockError, InvalidMessageError, RejectionCode, UsageError


async def test_a_confirmed_message_waits_for_a_consumer_that_comes_later(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(b"stored"))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    assert delivery.body == b"stored"


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\x1b[0m", bytes(range(256)) * 4096], ids=["empty", "binary", "a mebibyte"]
)
async def test_a_body_arrives_byte_for_byte(broker: Harness, body: bytes) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(body))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    assert delivery.body == body


async def test_a_body_at_the_limit_is_accepted(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(bytes(MAX_BODY_BYTES)))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    assert len(delivery.body) == MAX_BODY_BYTES


async def test_a_body_past_the_limit_is_refused_and_the_connection_lives_on(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    with pytest.raises(InvalidMessageError) as refused:
        await alpha.publish(outgoing(bytes(MAX_BODY_BYTES + 1)))
    assert refused.value.code is RejectionCode.TOO_LARGE
    await alpha.publish(outgoing(b"next"))


async def test_a_routing_key_that_amqp_cannot_carry_is_refused(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    with pytest.raises(InvalidMessageError):
        await alpha.publish(outgoing(type="p" * 250))
    await alpha.publish(outgoing())


async def test_what_the_publisher_said_arrives_with_the_message(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(reply_to="reply.alpha-agent.7"))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    assert delivery.sender == "alpha-agent"
    assert delivery.routing_key == "beta-agent.ping"
    assert delivery.content_type == "application/json"
    assert delivery.reply_to == "reply.alpha-agent.7"


async def test_without_an_address_for_answers_there_is_none(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing())
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    assert delivery.reply_to is None


async def test_a_receiver_that_nobody_declared_is_an_error_that_names_it(broker: Harness) -> None:
    await broker.declare("beta-agent")
    message = outgoing(receiver="nobody-agent")
    with pytest.raises(UnroutableError, match="nobody-agent") as unroutable:
        await (await broker.connect("alpha-agent")).publish(message)
    assert message.message_id in str(unroutable.value)


async def test_an_unroutable_message_goes_through_once_its_receiver_is_declared(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    message = outgoing(receiver="gamma-agent")
    with pytest.raises(UnroutableError):
        await alpha.publish(message)
    await broker.declare("gamma-agent")
    await alpha.publish(message)


async def test_only_the_unroutable_one_of_many_in_flight_fails(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    messages = [outgoing(receiver="nobody-agent" if number == 25 else "beta-agent") for number in range(50)]
    results = await asyncio.gather(*(alpha.publish(message) for message in messages), return_exceptions=True)
    assert [number for number, result in enumerate(results) if result is not None] == [25]
    assert isinstance(results[25], UnroutableError)


async def test_one_task_s_messages_arrive_in_the_order_of_their_publishing(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    for number in range(30):
        await alpha.publish(outgoing(b"%d" % number))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        taken = await take(deliveries, 30)
    assert [int(delivery.body) for delivery in taken] == list(range(30))


async def test_two_hundred_publishes_in_flight_all_arrive(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    async with anyio.create_task_group() as group:
        for number in range(200):
            group.start_soon(alpha.publish, outgoing(b"%d" % number))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        taken = await take(deliveries, 200)
    assert sorted(int(delivery.body) for delivery in taken) == list(range(200))


async def test_publishing_the_same_message_twice_delivers_it_twice(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    message = outgoing(b"again")
    await asyncio.gather(alpha.publish(message), alpha.publish(message))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        assert [delivery.body for delivery in await take(deliveries, 2)] == [b"again", b"again"]


async def test_nobody_publishes_in_another_s_name(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    with pytest.raises(NotPermittedError, match="gamma-agent"):
        await alpha.publish(outgoing(sender="gamma-agent"))
    await alpha.publish(outgoing())


async def test_a_full_queue_refuses_rather_than_drops(broker: Harness) -> None:
    await broker.declare(AgentQueue("beta-agent", max_length=5))
    alpha = await broker.connect("alpha-agent")
    accepted, refused = [], 0
    for number in range(10):
        try:
            await alpha.publish(outgoing(b"%d" % number))
        except UnconfirmedError:
            refused += 1
        else:
            accepted.append(number)
    assert refused > 0
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        taken = await take(deliveries, len(accepted))
    assert [int(delivery.body) for delivery in taken] == accepted


async def test_a_queue_that_was_full_accepts_again_once_it_is_drained(broker: Harness) -> None:
    await broker.declare(AgentQueue("beta-agent", max_length=2))
    alpha = await broker.connect("alpha-agent")

    async def accepted() -> bool:
        try:
            await alpha.publish(outgoing())
        except UnconfirmedError:
            return False
        return True

    stored = sum([await accepted() for _ in range(8)])
    assert stored < 8
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        await take(deliveries, stored)
        await eventually(accepted, bool)
        await take(deliveries)


async def test_a_cancelled_publish_leaves_the_connection_usable(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    with anyio.CancelScope() as scope:
        scope.cancel()
        await alpha.publish(outgoing(b"cancelled"))
    assert scope.cancelled_caught
    await alpha.publish(outgoing(b"after"))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        while (await take(deliveries))[0].body != b"after":
            continue


async def test_a_closed_transport_says_so(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    await alpha.aclose()
    with pytest.raises(UsageError, match="closed"):
        await alpha.publish(outgoing())


async def test_closing_in_mid_flight_leaves_no_publish_without_an_end(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    publishes = [asyncio.ensure_future(alpha.publish(outgoing(b"%d" % number))) for number in range(100)]
    await anyio.lowlevel.checkpoint()
    await alpha.aclose()
    with anyio.fail_after(DEADLINE):
        results = await asyncio.gather(*publishes, return_exceptions=True)
    assert all(result is None or isinstance(result, InterlockError) for result in results)
    confirmed = sum(result is None for result in results)
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        await take(deliveries, confirmed)
