"""A broker that takes nothing for a while: publishers wait or are told why, consumers go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from bus.harness import outgoing, take
from bus.rabbitmq.bordering import Border, outcomes
from interlock.bus.errors import UnconfirmedError
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.transport import Delivery

pytestmark = pytest.mark.rabbitmq


@asynccontextmanager
async def starved(border: Border) -> AsyncGenerator[None]:
    """Let the broker believe that it has no memory left."""
    await border.broker.control("set_vm_memory_high_watermark", "0")
    try:
        yield
    finally:
        await border.broker.control("set_vm_memory_high_watermark", "0.4")


async def test_publishes_wait_for_the_end_of_an_alarm_and_acknowledgements_do_not(border: Border) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    queued = [b"%d" % number for number in range(60)]
    assert await outcomes(alpha, map(outgoing, queued)) == [None] * 60
    async with beta.consume(prefetch=10) as deliveries:
        held = await take(deliveries, 10, ack=False)
        others: list[Delivery] = []
        async with anyio.create_task_group() as patient, starved(border):
            told = await outcomes(alpha, [outgoing(b"in vain") for _ in range(20)], timeout=0.5)
            assert {type(outcome) for outcome in told} == {UnconfirmedError}
            if border.client == "tap":  # aiormq does not say what the broker has said
                assert all("low on memory" in str(outcome) for outcome in told)
            patient.start_soon(_publish_patiently, alpha)
            for delivery in held:
                await delivery.ack()
            others += await take(deliveries, 50)
        assert sorted(delivery.body for delivery in (*held, *others)) == sorted(queued)
        # What was unconfirmed may come now: its outcome was unknown, not negative.
        missing = {b"patient-%d" % number for number in range(20)}
        while missing:
            missing -= {delivery.body for delivery in await take(deliveries)}
        await alpha.publish(outgoing(b"after"))
    assert (alpha.status.reconnects, beta.status.reconnects) == (0, 0)


async def _publish_patiently(alpha: RabbitTransport) -> None:
    assert await outcomes(alpha, [outgoing(b"patient-%d" % number) for number in range(20)]) == [None] * 20
