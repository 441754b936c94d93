"""A consumer that ends gives what it holds to whoever stands by, before anything newer."""

from __future__ import annotations

import anyio
import pytest
from anyio.abc import TaskStatus

from bus.harness import outgoing, take
from bus.rabbitmq.bordering import Border

pytestmark = pytest.mark.rabbitmq


async def test_a_successor_gets_what_was_held_before_what_is_newer(border: Border) -> None:
    await border.declare("beta-agent")
    alpha, first, second = [await border.over(agent) for agent in ("alpha-agent", "beta-agent", "beta-agent")]
    for number in range(30):
        await alpha.publish(outgoing(b"%d" % number))
    received: list[int] = []
    async with anyio.create_task_group() as group:
        ended = anyio.Event()

        async def stand_by(*, task_status: TaskStatus[None]) -> None:
            async with second.consume(prefetch=100) as deliveries:
                task_status.started()
                while len(received) < 28:
                    received.extend(int(each.body) for each in await take(deliveries))
            ended.set()

        async with first.consume(prefetch=10) as deliveries:
            await take(deliveries, 2)
            await group.start(stand_by)
        await ended.wait()
    assert received == list(range(2, 30))
