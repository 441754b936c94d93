"""Subscriptions that the broker ends, by a cancel or with the channel: they come back by themselves."""

from __future__ import annotations

import anyio
import pytest

from bus.harness import eventually, nothing_arrives, outgoing, take
from bus.rabbitmq.bordering import Border, outcomes
from interlock.bus.transport import Delivery

pytestmark = pytest.mark.rabbitmq


async def is_empty(border: Border, queue: str) -> bool:
    async with border.administering() as channel:
        return (await channel.declare_queue(queue, passive=True)).declaration_result.message_count == 0


async def test_a_consumer_that_the_broker_cancelled_subscribes_again(border: Border) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    async with beta.consume() as deliveries:
        await alpha.publish(outgoing(b"held"))
        [held] = await take(deliveries, ack=False)
        async with border.administering() as channel:
            await channel.queue_delete("beta-agent")
        await nothing_arrives(deliveries)
        assert not beta.status.consuming
        await border.declare("beta-agent")
        await held.ack()
        await alpha.publish(outgoing(b"later"))
        assert (await take(deliveries))[0].body == b"later"
        assert beta.status.consuming
        assert beta.status.reconnects == 0
    await eventually(lambda: is_empty(border, "beta-agent"), bool)


async def test_a_consumer_whose_channel_the_broker_closed_opens_another_on_the_same_connection(border: Border) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    sent = [b"%d" % number for number in range(50)]
    await border.broker.control("eval", "application:set_env(rabbit, consumer_timeout, 1).")
    try:
        async with beta.consume() as deliveries:
            assert await outcomes(alpha, map(outgoing, sent)) == [None] * 50
            held = {delivery.body: delivery for delivery in await take(deliveries, 50, ack=False)}
            for body in sent[10:20]:
                await held[body].ack()
            again: list[Delivery] = []

            async def wait_for_the_others() -> None:
                again.extend(await take(deliveries, 40))

            async with anyio.create_task_group() as waiting:
                waiting.start_soon(wait_for_the_others)
                # At this message, once a minute, a channel looks how long its deliveries have not been acknowledged.
                await border.broker.control(
                    "eval",
                    "application:set_env(rabbit, consumer_timeout, 1800000), "
                    "[Channel ! tick || Channel <- rabbit_channel:list_local()].",
                )
            # Of the first channel, which is gone: nothing of this may reach the broker.
            for body in sent[:10]:
                await held[body].ack()
            await held[sent[20]].reject()
            await held[sent[21]].requeue()
            assert {delivery.body for delivery in again} == {*sent[:10], *sent[20:]}
            assert {delivery.attempt for delivery in again} == {2}
            await alpha.publish(outgoing(b"later"))
            assert (await take(deliveries))[0].body == b"later"
        assert beta.status.reconnects == 0
    finally:
        await border.broker.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
    await eventually(lambda: is_empty(border, "beta-agent"), bool)
    assert await beta.parked() == ()
