"""The broker's word on each of many publishes in flight: it reaches the one that it is about, and no other."""

from __future__ import annotations

import random

import pytest

from bus.harness import eventually, outgoing, take
from bus.rabbitmq.bordering import Border, outcomes
from interlock.bus.errors import UnconfirmedError, UnroutableError
from interlock.bus.transport import AgentQueue
from interlock.protocol.ids import new_id

pytestmark = pytest.mark.rabbitmq


def kind(outcome: object) -> str:
    return "stored" if outcome is None else type(outcome).__name__


async def test_each_return_reaches_its_own_publish_among_two_thousand(border: Border) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    dice = random.Random(4)
    receivers = [dice.choice(("beta-agent", "nobody-agent", "late-agent")) for _ in range(2000)]
    messages = [outgoing(b"%d" % number, receiver=receiver) for number, receiver in enumerate(receivers)]
    async with beta.consume() as deliveries:
        told = await outcomes(alpha, messages)
        assert [kind(outcome) for outcome in told] == [
            "stored" if receiver == "beta-agent" else "UnroutableError" for receiver in receivers
        ]
        stored = [message.body for message in messages if message.receiver == "beta-agent"]
        assert sorted(delivery.body for delivery in await take(deliveries, len(stored))) == sorted(stored)
    errors = [outcome for outcome in told if isinstance(outcome, UnroutableError)]
    unroutable = [message for message in messages if message.receiver != "beta-agent"]
    assert all(message.message_id in str(error) for message, error in zip(unroutable, errors, strict=True))


async def test_publishes_under_one_message_id_get_each_its_own_verdict(border: Border) -> None:
    await border.declare("beta-agent")
    alpha = await border.over("alpha-agent")
    shared = new_id()
    receivers = ["nobody-agent", "beta-agent", "beta-agent", "nobody-agent"] * 50
    told = await outcomes(alpha, [outgoing(receiver=receiver, message_id=shared) for receiver in receivers])
    assert [kind(outcome) for outcome in told] == [
        "stored" if receiver == "beta-agent" else "UnroutableError" for receiver in receivers
    ]


async def test_each_refusal_of_a_full_queue_reaches_its_own_publish(border: Border) -> None:
    await border.declare(AgentQueue("beta-agent", max_length=5), "gamma-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    stored: list[bytes] = []
    while not (refused := await outcomes(alpha, [outgoing(b"%d" % len(stored))]))[0]:
        stored.append(b"%d" % len(stored))
    assert isinstance(refused[0], UnconfirmedError)
    assert "full" in str(refused[0])
    receivers = ["beta-agent", "gamma-agent", "gamma-agent", "nobody-agent"] * 100
    told = await outcomes(alpha, [outgoing(receiver=receiver) for receiver in receivers])
    meant = {"beta-agent": "UnconfirmedError", "gamma-agent": "stored", "nobody-agent": "UnroutableError"}
    assert [kind(outcome) for outcome in told] == [meant[receiver] for receiver in receivers]
    async with beta.consume() as deliveries:
        assert [delivery.body for delivery in await take(deliveries, len(stored))] == stored
        # A quorum queue opens again when it has applied what was acknowledged.
        await eventually(lambda: outcomes(alpha, [outgoing(b"there is room again")]), lambda told: told == [None])
        assert (await take(deliveries))[0].body == b"there is room again"


async def test_announcements_that_nobody_wants_are_no_error_among_returns(border: Border) -> None:
    await border.declare("beta-agent")
    alpha = await border.over("alpha-agent")
    receivers = ["all", "nobody-agent"] * 100
    told = await outcomes(alpha, [outgoing(receiver=receiver) for receiver in receivers])
    assert [kind(outcome) for outcome in told] == ["stored", "UnroutableError"] * 100
