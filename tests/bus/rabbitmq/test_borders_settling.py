"""Deliveries settled in any order and at any moment, up to the last: each is settled once, and as it was said."""

from __future__ import annotations

import random
from collections import Counter

import anyio
import pytest

from bus.harness import nothing_arrives, outgoing, take
from bus.rabbitmq.bordering import Border, outcomes
from bus.rabbitmq.test_borders_consumers import is_empty
from interlock.bus.transport import AgentQueue, Delivery

pytestmark = pytest.mark.rabbitmq

MESSAGES = 300


@pytest.mark.parametrize("seed", range(3))
async def test_any_schedule_of_settling_leaves_nothing_behind(border: Border, seed: int) -> None:
    await border.declare(AgentQueue("beta-agent", delivery_limit=1000))
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    sent = [b"%d" % number for number in range(MESSAGES)]
    assert await outcomes(alpha, map(outgoing, sent)) == [None] * MESSAGES
    dice = random.Random(seed)
    requeued: Counter[bytes] = Counter()
    settled: Counter[bytes] = Counter()
    rejected: list[bytes] = []
    held: list[Delivery] = []
    with anyio.fail_after(60):
        async with beta.consume(prefetch=40) as deliveries:
            while len(settled) < MESSAGES:
                # Longer than an acknowledgement waits for a slower delivery before it, and shorter.
                with anyio.move_on_after(dice.choice((0, 0.002, 0.03))):
                    while len(held) < 40 and dice.random() < 0.9:
                        held.append(await anext(deliveries))
                        assert held[-1].attempt == 1 + requeued[held[-1].body]
                for _ in range(dice.randint(0, len(held))):
                    delivery = held.pop(dice.choice((0, -1, dice.randrange(len(held)))))
                    match dice.choices(("ack", "requeue", "reject"), (70, 20, 10))[0]:
                        case "ack":
                            await delivery.ack()
                            settled[delivery.body] += 1
                        case "requeue":
                            requeued[delivery.body] += 1
                            await delivery.requeue()
                        case _:
                            await delivery.reject()
                            settled[delivery.body] += 1
                            rejected.append(delivery.body)
            assert held == []
            await nothing_arrives(deliveries, within=0.05)
    assert settled == Counter(sent)
    assert await is_empty(border, "beta-agent")
    assert sorted(parked.body for parked in await beta.parked(limit=MESSAGES)) == sorted(rejected)
    assert beta.status.reconnects == 0


@pytest.mark.parametrize("ends", ["context", "transport"])
async def test_what_was_settled_at_the_last_moment_never_comes_again_and_the_rest_does(
    border: Border, ends: str
) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    sent = [b"%d" % number for number in range(200)]
    assert await outcomes(alpha, map(outgoing, sent)) == [None] * 200
    logged = border.broker.console.stat().st_size
    dice = random.Random(4)
    async with beta.consume(prefetch=100) as deliveries:
        held = await take(deliveries, 100, ack=False)
        dice.shuffle(held)
        for delivery in held[:90]:
            await delivery.ack()
        if ends == "transport":
            await beta.aclose()
    for delivery in held[90:]:
        await delivery.ack()  # too late: the broker has taken it back
    settled = {delivery.body for delivery in held[:90]}
    again = await border.over("beta-agent")
    async with again.consume() as deliveries:
        redelivered = await take(deliveries, 110)
        assert {delivery.body for delivery in redelivered} == {*sent} - settled
        await nothing_arrives(deliveries, within=0.1)
    for transport in (alpha, beta, again):
        await transport.aclose()
    complaints = [line for line in _console(border, logged) if "[error]" in line or "[warning]" in line]
    assert complaints == []


def _console(border: Border, since: int) -> list[str]:
    return border.broker.console.read_bytes()[since:].decode().splitlines()
