"""Whoever stops in the midst of things: nothing hangs, nothing is held, and nobody else's connection is lost."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import anyio
import pytest

from bus.harness import DEADLINE, eventually, outgoing, take
from bus.rabbitmq.bordering import Border, outcomes
from bus.rabbitmq.test_borders_alarms import starved
from bus.tcp_proxy import TcpProxy
from interlock.bus.clock import SystemClock
from interlock.bus.errors import UnconfirmedError
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.rabbitmq.connection import Connection
from interlock.protocol.errors import UsageError

pytestmark = pytest.mark.rabbitmq


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_subscriber_that_is_cancelled_again_while_it_ends_holds_nothing_back(
    border: Border, times: int
) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    assert await outcomes(alpha, [outgoing(b"%d" % number) for number in range(20)]) == [None] * 20
    handling = anyio.Event()

    async def subscribe() -> None:
        async with beta.consume(prefetch=20) as deliveries:
            await take(deliveries, 20, ack=False)
            handling.set()
            await anyio.sleep_forever()

    subscriber = asyncio.create_task(subscribe())
    await handling.wait()
    for _ in range(times):
        subscriber.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await subscriber
    async with beta.consume(prefetch=20) as deliveries:
        await take(deliveries, 20)
    assert beta.status.reconnects == 0


@pytest.mark.parametrize("seed", range(3))
async def test_channels_whose_openers_were_cancelled_are_closed_and_the_connection_stays(
    border: Border, seed: int
) -> None:
    chance = random.Random(seed)
    connection = Connection(
        (border.broker.url("alpha-agent"),), identity="alpha-agent", clock=SystemClock(), client=border.client
    )
    first = await connection.hot_channel(timeout=DEADLINE)

    async def open_and_close() -> None:
        await (await connection.hot_channel(timeout=DEADLINE, confirms=True)).aclose()

    for _ in range(30):
        task = asyncio.create_task(open_and_close())
        for _ in range(chance.randrange(25)):
            await asyncio.sleep(0)
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.004)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    last = await connection.hot_channel(timeout=DEADLINE)
    assert connection.reconnects == 0
    assert not first.is_closed
    assert last.amqp is not first.amqp

    async def open_channels() -> set[str]:
        listed = await border.broker.control("list_channels", "name", "user", "--no-table-headers", "--quiet")
        return {line for line in listed.splitlines() if "alpha-agent" in line}

    assert len(await eventually(open_channels, lambda names: len(names) <= 2)) == 2
    await connection.aclose()


async def test_a_transport_that_is_closed_without_a_connection_ends_its_consumers_and_stays_closed(
    border: Border,
) -> None:
    await border.declare("beta-agent")
    async with TcpProxy.to(border.broker.port) as proxy:
        beta = await border.over("beta-agent", proxy)
        began = anyio.Event()

        async def consume() -> None:
            async with beta.consume() as deliveries:
                began.set()
                assert [delivery async for delivery in deliveries] == []

        async with anyio.create_task_group() as group:
            group.start_soon(consume)
            await began.wait()
            before = proxy.accepted
            proxy.silence()
            proxy.reset()

            async def accepted() -> int:
                return proxy.accepted

            await eventually(accepted, lambda count: count > before)
            with anyio.fail_after(DEADLINE):
                await beta.aclose()
            proxy.restore()

        async def connections() -> int:
            return proxy.connections

        await eventually(connections, lambda count: count == 0)


@pytest.mark.slow
async def test_a_transport_that_is_closed_under_an_alarm_leaves_nobody_waiting(border: Border) -> None:
    await border.declare("beta-agent")
    alpha = await border.over("alpha-agent")
    await alpha.publish(outgoing(b"before"))
    told: list[object] = []

    async def publish() -> None:
        told.extend(await outcomes(alpha, [outgoing(bytes(100_000)) for _ in range(300)], timeout=600.0))

    async with starved(border):
        with anyio.fail_after(4 * DEADLINE):
            async with anyio.create_task_group() as group:
                group.start_soon(publish)
                await _until_sockets_are_full(alpha)
                await alpha.aclose()
    assert len(told) == 300
    # Those that had found no room were not sent.
    assert {type(each) for each in told} <= {UnconfirmedError, UsageError}


async def _until_sockets_are_full(transport: RabbitTransport) -> None:
    with suppress(TimeoutError), anyio.fail_after(1.0):
        await transport.publish(outgoing(bytes(100_000)), timeout=600.0)
