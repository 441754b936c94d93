"""A broker that reads slowly: what waits to be written stays bounded, whoever publishes waits."""

from __future__ import annotations

import tracemalloc

import anyio
import pytest

from bus.harness import outgoing, take
from bus.rabbitmq.bordering import Border, outcomes, random_body
from bus.tcp_proxy import TcpProxy
from interlock.bus.errors import BrokerUnavailableError, UnconfirmedError
from interlock.bus.rabbitmq import RabbitTransport

pytestmark = pytest.mark.rabbitmq

MEBIBYTE = 1024 * 1024
MESSAGES = 100


async def test_megabytes_behind_a_slow_reader_are_not_collected(border: Border) -> None:
    await border.declare("beta-agent")
    beta = await border.over("beta-agent")
    body = random_body(MEBIBYTE)
    async with TcpProxy.to(border.broker.port) as proxy:
        alpha = await border.over("alpha-agent", proxy)
        await alpha.publish(outgoing())
        proxy.silence()
        async with anyio.create_task_group() as publishing, beta.consume(prefetch=5) as deliveries:
            tracemalloc.start()
            try:
                for _ in range(MESSAGES):
                    publishing.start_soon(_publish, alpha, body)
                await anyio.wait_all_tasks_blocked()
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert most < 40 * MEBIBYTE
            proxy.restore()
            received = await take(deliveries, MESSAGES + 1)
            assert all(delivery.body == body for delivery in received[1:])


async def _publish(alpha: RabbitTransport, body: bytes) -> None:
    await alpha.publish(outgoing(body), timeout=30.0)


async def test_a_publish_that_found_no_room_in_time_was_not_sent(border: Border) -> None:
    await border.declare("beta-agent")
    body = random_body(MEBIBYTE)
    async with TcpProxy.to(border.broker.port) as proxy:
        alpha = await border.over("alpha-agent", proxy)
        await alpha.publish(outgoing())
        proxy.silence()
        told = await outcomes(alpha, [outgoing(body) for _ in range(50)], timeout=0.5)
        assert {type(outcome) for outcome in told} == {UnconfirmedError, BrokerUnavailableError}
        assert "was not sent" in str(told[-1])
        proxy.restore()
        await alpha.publish(outgoing())
