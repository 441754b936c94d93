"""Connections that are closed, cut, frozen or drowned in traffic: what was confirmed stays, the rest is tried again."""

from __future__ import annotations

import operator
import time
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import pytest

from bus.harness import DEADLINE, eventually, outgoing, take
from bus.rabbitmq.bordering import CLIENTS, Border, outcomes
from bus.tcp_proxy import TcpProxy
from interlock.bus.errors import UnconfirmedError
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import VHOST, RabbitTransport

pytestmark = pytest.mark.rabbitmq

TASKS, EACH = 20, 20


async def accepted(proxy: TcpProxy) -> int:
    return proxy.accepted


class Traffic:
    """Several tasks that publish one message after the other, and one consumer that acknowledges what it gets."""

    def __init__(self, alpha: RabbitTransport, beta: RabbitTransport) -> None:
        self.confirmed: dict[int, list[int]] = {task: [] for task in range(TASKS)}
        self.received: dict[int, list[int]] = {task: [] for task in range(TASKS)}
        self._alpha = alpha
        self._beta = beta
        self._unseen: set[tuple[int, int]] = set()
        self._flows = anyio.Event()
        self._is_over = False
        self._came = anyio.Event()

    async def flow(self, fault: Callable[[], Awaitable[None]]) -> None:
        """Carry messages before, during and after the fault, until every one that was confirmed was received."""
        with anyio.fail_after(6 * DEADLINE):
            async with anyio.create_task_group() as group:
                group.start_soon(self._consume)
                async with anyio.create_task_group() as publishing:
                    for task in range(TASKS):
                        publishing.start_soon(self._publish, task)
                    await self._flows.wait()
                    await fault()
                    self._is_over = True
                while self._unseen:
                    self._came = anyio.Event()
                    await self._came.wait()
                group.cancel_scope.cancel()

    async def _publish(self, task: int) -> None:
        """Publish until the fault is over, and as much again; any error fails the test."""
        after = 0
        while after < EACH:
            number = len(self.confirmed[task])
            self._unseen.add((task, number))
            await self._alpha.publish(outgoing(b"%d.%d" % (task, number)), timeout=20.0)
            self.confirmed[task].append(number)
            after += self._is_over
            if number == EACH:
                self._flows.set()

    async def _consume(self) -> None:
        async with self._beta.consume(prefetch=50) as deliveries:
            async for delivery in deliveries:
                task, number = map(int, delivery.body.split(b"."))
                self.received[task].append(number)
                self._unseen.discard((task, number))
                await delivery.ack()
                self._came.set()

    def assert_order(self) -> None:
        """Fail unless each task's messages, the repetitions aside, came in its order."""
        firsts = {task: list(dict.fromkeys(numbers)) for task, numbers in self.received.items()}
        assert firsts == self.confirmed


async def test_what_is_in_flight_when_connections_are_reset_is_published_and_delivered_again(border: Border) -> None:
    await border.declare("beta-agent")
    async with TcpProxy.to(border.broker.port) as proxy:
        alpha, beta = await border.over("alpha-agent", proxy), await border.over("beta-agent", proxy)
        traffic = Traffic(alpha, beta)

        async def reset() -> None:
            proxy.reset()

        await traffic.flow(reset)
        traffic.assert_order()
        assert alpha.status.reconnects >= 1
        assert beta.status.reconnects >= 1


@pytest.mark.parametrize("to_broker", [True, False], ids=["to the broker", "to the clients"])
async def test_connections_that_end_anywhere_in_a_frame_are_made_again(border: Border, to_broker: bool) -> None:
    """In methods, headers, bodies and between them: a message and its copy are less than a thousand bytes."""
    await border.declare("beta-agent")
    async with TcpProxy.to(border.broker.port) as proxy:
        alpha, beta = await border.over("alpha-agent", proxy), await border.over("beta-agent", proxy)
        traffic = Traffic(alpha, beta)

        async def cut() -> None:
            for size in (1, 3, 7, 8, 9, 20, 50, 99, 150, 210, 333, 512, 777, 1_000):
                more = partial(operator.lt, proxy.accepted)
                proxy.cut_after(size, to_broker=to_broker)
                await eventually(lambda: accepted(proxy), more)

        await traffic.flow(cut)
        traffic.assert_order()


async def test_connections_that_the_broker_closes_are_made_again(border: Border) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    traffic = Traffic(alpha, beta)

    async def close() -> None:
        await border.broker.control("close_all_connections", "--vhost", VHOST, "maintenance")

    await traffic.flow(close)
    traffic.assert_order()
    assert await outcomes(alpha, [outgoing(b"%d" % number) for number in range(100)]) == [None] * 100
    async with beta.consume() as deliveries:
        assert sorted(int(delivery.body) for delivery in await take(deliveries, 100)) == list(range(100))
    assert alpha.status.reconnects >= 1
    assert beta.status.reconnects >= 1


@pytest.mark.slow
async def test_connections_that_went_silent_are_given_up_after_three_heartbeats(border: Border) -> None:
    await border.declare("beta-agent")
    async with TcpProxy.to(border.broker.port) as proxy:
        alpha, beta = [await border.over(agent, proxy, heartbeat=1) for agent in ("alpha-agent", "beta-agent")]
        async with beta.consume() as deliveries:
            await alpha.publish(outgoing(b"held"))
            await take(deliveries, ack=False)
            assert proxy.accepted == 3
            proxy.silence()
            started = time.monotonic()
            told = await outcomes(alpha, [outgoing(b"silence") for _ in range(100)], timeout=1.0)
            assert {type(outcome) for outcome in told} == {UnconfirmedError}
            assert time.monotonic() - started < 3.0

            async def publish() -> None:
                await alpha.publish(outgoing(b"after"), timeout=20.0)

            async def receive() -> None:
                missing = {b"held", b"after"}
                while missing:
                    missing -= {delivery.body for delivery in await take(deliveries)}

            async with anyio.create_task_group() as group:
                group.start_soon(publish)
                group.start_soon(receive)
                await eventually(lambda: accepted(proxy), lambda connections: connections == 5)
                # 3 x (heartbeat + 1) seconds; aiormq looks once a second.
                assert time.monotonic() - started < 9.0
                proxy.restore()


@pytest.mark.slow
async def test_connections_with_nothing_but_traffic_on_them_stay_alive(rabbitmq: PrivateBroker) -> None:
    """Both clients at once, for longer than a connection without a sign of life is kept: 3 x (heartbeat + 1) s."""
    pairs = {"tap": ("alpha-agent", "beta-agent"), "aiormq": ("gamma-agent", "alpha-agent")}
    borders = {client: Border(rabbitmq, client=client) for client in CLIENTS}
    until = time.monotonic() + 8.0
    async with anyio.create_task_group() as group:
        for client, border in borders.items():
            sender, receiver = pairs[client]
            await border.declare(receiver)
            outbound = await border.over(sender, heartbeat=1, journal=False)
            inbound = await border.over(receiver, heartbeat=1)
            group.start_soon(_consume_until, until, inbound)
            for _ in range(10):
                group.start_soon(_publish_until, until, outbound, sender, receiver)
    for border in borders.values():
        assert [transport.status.reconnects for transport in border.transports] == [0, 0, 0]
        await border.aclose()


async def _publish_until(until: float, transport: RabbitTransport, sender: str, receiver: str) -> None:
    while time.monotonic() < until:
        await transport.publish(outgoing(sender=sender, receiver=receiver))


async def _consume_until(until: float, transport: RabbitTransport) -> None:
    async with transport.consume() as deliveries:
        while time.monotonic() < until:
            await take(deliveries)
