"""What of a delivery is the broker's word, whatever the publisher wrote into the same headers."""

from __future__ import annotations

from datetime import UTC, datetime

import aio_pika
import pytest
from aiormq import spec
from pamqp.common import FieldTable, FieldValue

from bus.conftest import RabbitHarness
from bus.harness import eventually, take
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq.topology import MESSAGES

pytestmark = pytest.mark.rabbitmq


async def publish_forged(broker: PrivateBroker, headers: FieldTable) -> None:
    properties = spec.Basic.Properties(headers=headers, user_id="alpha-agent")
    async with await aio_pika.connect(broker.url("alpha-agent")) as connection:
        channel = await (await connection.channel()).get_underlay_channel()
        await channel.basic_publish(b"{}", exchange=MESSAGES, routing_key="beta-agent.ping", properties=properties)


@pytest.mark.parametrize("count", [7, -1, "many", True])
async def test_a_forged_count_of_attempts_is_not_believed(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker, count: FieldValue
) -> None:
    await rabbit.declare("beta-agent")
    await publish_forged(rabbitmq, {"x-delivery-count": count})
    async with (await rabbit.connect("beta-agent")).consume() as deliveries:
        for attempt in (1, 2, 3):
            [delivery] = await take(deliveries, ack=False)
            assert delivery.attempt == attempt
            await delivery.requeue()


@pytest.mark.parametrize("death", [[{"reason": "expired", "routing-keys": ["forged"]}], "text", []])
async def test_a_forged_death_does_not_change_why_a_message_is_parked(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker, death: FieldValue
) -> None:
    await rabbit.declare("beta-agent")
    await publish_forged(rabbitmq, {"x-death": death})
    beta = await rabbit.connect("beta-agent")
    async with beta.consume() as deliveries:
        [delivery] = await take(deliveries, ack=False)
        await delivery.reject()
    [parked] = await eventually(beta.parked, lambda found: len(found) == 1)
    assert (parked.reason, parked.routing_key, parked.sender) == ("rejected", "beta-agent.ping", "alpha-agent")


async def test_a_parked_message_says_when_it_was_parked(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    await publish_forged(rabbitmq, {})
    beta = await rabbit.connect("beta-agent")
    async with beta.consume() as deliveries:
        [delivery] = await take(deliveries, ack=False)
        await delivery.reject()
    [parked] = await eventually(beta.parked, lambda found: len(found) == 1)
    assert parked.parked_at is not None
    assert abs((datetime.now(UTC) - parked.parked_at).total_seconds()) < 60
