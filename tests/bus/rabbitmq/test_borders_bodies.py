"""Bodies around the size of a frame, for every size of frame that a broker may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import aio_pika
import aiormq
import anyio
import pytest
from aiormq import spec

from bus.harness import outgoing, take
from bus.rabbitmq.bordering import Border, outcomes, random_body
from interlock.bus.errors import UnroutableError
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq.topology import MESSAGES

pytestmark = pytest.mark.rabbitmq

DEFAULT = 131_072
UNLIMITED = 0


@pytest.fixture(params=[DEFAULT, 8192, UNLIMITED], scope="module")
def frame_max(request: pytest.FixtureRequest, rabbitmq: PrivateBroker) -> Iterator[int]:
    """What the broker asks of whoever connects, in bytes; 0: there is no limit (AMQP 0-9-1, connection.tune)."""

    async def ask_for(size: int) -> None:
        await rabbitmq.control("eval", f"application:set_env(rabbit, frame_max, {size}).")
        connection = await aiormq.connect(rabbitmq.url())
        assert connection.connection_tune.frame_max == size
        await connection.close()

    anyio.run(ask_for, request.param)
    yield request.param
    anyio.run(ask_for, DEFAULT)


def sizes(frame_max: int) -> list[int]:
    """Return those at which a body begins to need another frame, around one frame and around two."""
    most = (frame_max or DEFAULT) - 8
    return [0, 1, *range(most - 2, most + 10), *range(2 * most - 1, 2 * most + 2), 3_000_000]


async def test_a_body_of_any_size_arrives_as_it_was_sent(border: Border, frame_max: int) -> None:
    bodies = [random_body(size) for size in sizes(frame_max)]
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    async with beta.consume() as deliveries:
        assert await outcomes(alpha, map(outgoing, bodies)) == [None] * len(bodies)
        received = await take(deliveries, len(bodies))
    assert sorted(delivery.body for delivery in received) == sorted(bodies)


async def test_a_body_of_any_size_is_returned_when_nobody_is_bound(border: Border, frame_max: int) -> None:
    await border.declare("beta-agent")
    alpha = await border.over("alpha-agent")
    told = await outcomes(
        alpha,
        [
            outgoing(random_body(size), receiver=receiver)
            for size in sizes(frame_max)
            for receiver in ("nobody-agent", "beta-agent")
        ],
    )
    assert [type(each) for each in told] == [UnroutableError, type(None)] * len(sizes(frame_max))


async def test_a_body_larger_than_we_would_send_is_received(border: Border, frame_max: int) -> None:
    body = random_body(3_000_000)
    properties = spec.Basic.Properties(user_id="alpha-agent", content_type="application/json", delivery_mode=2)
    await border.declare("beta-agent")
    beta = await border.over("beta-agent")
    async with beta.consume() as deliveries:
        async with await aio_pika.connect(border.broker.url("alpha-agent")) as connection:
            channel = await (await connection.channel()).get_underlay_channel()
            await channel.basic_publish(body, exchange=MESSAGES, routing_key="beta-agent.ping", properties=properties)
        [delivery] = await take(deliveries)
    assert (delivery.body == body, delivery.sender, delivery.attempt) == (True, "alpha-agent", 1)
