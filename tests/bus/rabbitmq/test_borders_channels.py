"""Channels that the broker closes in mid-work: who is to blame is told, everybody else goes on."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from bus.harness import outgoing, take
from bus.rabbitmq.bordering import Border, outcomes, random_body
from bus.rabbitmq.test_borders_verdicts import kind
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES
from interlock.bus.transport import Outgoing
from interlock.protocol.errors import UsageError

pytestmark = pytest.mark.rabbitmq


async def mixed(border: Border, culprits: Sequence[Outgoing], others: int = 500) -> list[object]:
    """Publish these at random places among others; returns what was raised, once all others have arrived."""
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    innocent = [outgoing(b"%d" % number) for number in range(others)]
    messages = [*innocent, *culprits]
    random.Random(4).shuffle(messages)
    told = dict(zip((message.message_id for message in messages), await outcomes(alpha, messages), strict=True))
    assert {kind(told[message.message_id]) for message in innocent} == {"stored"}
    await alpha.publish(outgoing(b"next"))
    missing = {message.body for message in (*innocent, outgoing(b"next"))}
    async with beta.consume() as deliveries:
        while missing:
            missing -= {delivery.body for delivery in await take(deliveries)}
    # aiormq alone may go on writing to a channel that it has confirmed the end of: then the broker ends the connection.
    assert border.client == "aiormq" or alpha.status.reconnects == 0
    return [told[message.message_id] for message in culprits]


async def test_only_forbidden_messages_are_told_so(border: Border) -> None:
    await border.declare("beta-agent")
    told = await mixed(border, [outgoing(type="destroy") for _ in range(5)])
    assert [kind(outcome) for outcome in told] == ["NotPermittedError"] * 5
    assert all("destroy" in str(outcome) for outcome in told)


async def test_only_the_message_that_the_broker_finds_too_large_is_told_so(border: Border) -> None:
    await border.declare("beta-agent")
    await border.broker.control("eval", "application:set_env(rabbit, max_message_size, 50000).")
    try:
        told = await mixed(border, [outgoing(random_body(50_001)), outgoing(random_body(60_000))])
    finally:
        await border.broker.control("eval", "application:set_env(rabbit, max_message_size, 134217728).")
    assert [kind(outcome) for outcome in told] == ["NotPermittedError"] * 2
    assert "message size 50001" in str(told[0])
    assert "message size 60000" in str(told[1])


async def test_where_the_exchange_was_deleted_all_are_told_and_go_on_once_it_is_back(border: Border) -> None:
    await border.declare("beta-agent")
    alpha, beta = await border.over("alpha-agent"), await border.over("beta-agent")
    await alpha.publish(outgoing(b"before"))
    async with border.administering() as channel:
        await channel.exchange_delete(MESSAGES)
    told = await outcomes(alpha, [outgoing() for _ in range(200)])
    assert {kind(outcome) for outcome in told} == {"BrokerUnavailableError"}
    assert all(f"no exchange {MESSAGES}" in str(outcome) for outcome in told)
    await border.declare("beta-agent")
    assert await outcomes(alpha, [outgoing(b"after") for _ in range(200)]) == [None] * 200
    async with beta.consume() as deliveries:
        bodies = [delivery.body for delivery in await take(deliveries, 201)]
    assert bodies == [b"before", *[b"after"] * 200]


async def test_where_the_journal_was_deleted_nobody_is_told_that_a_message_was_not_sent(border: Border) -> None:
    await border.declare("beta-agent")
    alpha = await border.over("alpha-agent")
    async with border.administering() as channel:
        await channel.exchange_delete(JOURNAL)
    try:
        told = await outcomes(alpha, [outgoing() for _ in range(20)], timeout=5.0)
    finally:
        await border.declare("beta-agent")
    assert {kind(outcome) for outcome in told} == {"UnconfirmedError"}
    assert all(f"no exchange {JOURNAL}" in str(outcome) for outcome in told)
    await alpha.publish(outgoing())


async def test_a_closed_transport_says_so(border: Border) -> None:
    await border.declare("beta-agent")
    alpha = await border.over("alpha-agent")
    await alpha.publish(outgoing())
    await alpha.aclose()
    with pytest.raises(UsageError, match="closed"):
        await alpha.publish(outgoing())
