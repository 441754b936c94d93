"""Announcements, observers and reply addresses, on every transport."""

from __future__ import annotations

import pytest

from bus.harness import Harness, nothing_arrives, outgoing, take
from interlock.bus.errors import UnroutableError
from interlock.bus.transport import AgentQueue

PONGS = frozenset({"pong"})


async def test_an_announcement_reaches_every_agent_that_asked_for_its_type(broker: Harness) -> None:
    await broker.declare(AgentQueue("beta-agent", announcements=PONGS), AgentQueue("gamma-agent", announcements=PONGS))
    await (await broker.connect("alpha-agent")).publish(outgoing(b"news", receiver="all", type="pong"))
    for agent in ("beta-agent", "gamma-agent"):
        async with (await broker.connect(agent)).consume() as deliveries:
            [delivery] = await take(deliveries)
        assert (delivery.body, delivery.routing_key) == (b"news", "all.pong")


async def test_an_announcement_of_another_type_does_not_arrive(broker: Harness) -> None:
    await broker.declare(AgentQueue("beta-agent", announcements=PONGS))
    await (await broker.connect("alpha-agent")).publish(outgoing(receiver="all", type="ping"))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        await nothing_arrives(deliveries)


async def test_an_announcement_that_nobody_wants_is_no_error(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(receiver="all"))


async def test_an_observer_sees_copies_of_what_matches(broker: Harness) -> None:
    await broker.declare("beta-agent", "gamma-agent")
    alpha, gamma = await broker.connect("alpha-agent"), await broker.connect("gamma-agent")
    async with gamma.observe("*.pong") as copies:
        await alpha.publish(outgoing(b"no"))
        await alpha.publish(outgoing(b"yes", type="pong"))
        await alpha.publish(outgoing(b"too", type="pong", receiver="gamma-agent"))
        seen = [(copy.body, copy.sender) for copy in await take(copies, 2, ack=False)]
    assert seen == [(b"yes", "alpha-agent"), (b"too", "alpha-agent")]


async def test_an_observer_takes_nothing_away(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    async with (await broker.connect("gamma-agent")).observe("#") as copies:
        await alpha.publish(outgoing(b"both"))
        assert (await take(copies, ack=False))[0].body == b"both"
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        assert (await take(deliveries))[0].body == b"both"


async def test_an_observer_of_everything_does_not_hide_that_a_receiver_is_missing(broker: Harness) -> None:
    await broker.declare("beta-agent")
    async with (await broker.connect("gamma-agent")).observe("#"):
        with pytest.raises(UnroutableError):
            await (await broker.connect("alpha-agent")).publish(outgoing(receiver="nobody-agent"))


async def test_an_observer_sees_announcements(broker: Harness) -> None:
    await broker.declare("beta-agent")
    async with (await broker.connect("gamma-agent")).observe("all.#") as copies:
        await (await broker.connect("alpha-agent")).publish(outgoing(b"news", receiver="all"))
        assert (await take(copies, ack=False))[0].body == b"news"


async def test_an_observer_sees_nothing_of_the_past(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(b"before"))
    async with (await broker.connect("gamma-agent")).observe("#") as copies:
        await nothing_arrives(copies)


async def test_two_observers_each_see_everything(broker: Harness) -> None:
    await broker.declare("beta-agent")
    gamma = await broker.connect("gamma-agent")
    async with gamma.observe("#") as one, gamma.observe("beta-agent.*") as other:
        await (await broker.connect("alpha-agent")).publish(outgoing(b"seen"))
        assert (await take(one, ack=False))[0].body == b"seen"
        assert (await take(other, ack=False))[0].body == b"seen"


async def test_copies_that_nobody_settles_do_not_pile_up(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    async with (await broker.connect("gamma-agent")).observe("#") as copies:
        for number in range(1200):  # more than any prefetch
            await alpha.publish(outgoing(b"%d" % number))
            [copy] = await take(copies, ack=False)
            assert int(copy.body) == number


async def test_an_answer_arrives_at_the_address_that_was_opened_for_it(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await broker.connect("alpha-agent"), await broker.connect("beta-agent")
    async with alpha.replies() as (address, answers), beta.consume() as deliveries:
        await alpha.publish(outgoing(b"question", reply_to=address))
        [question] = await take(deliveries)
        assert question.reply_to == address
        await beta.publish(outgoing(b"answer", sender="beta-agent", receiver=address, type="pong"))
        [answer] = await take(answers, ack=False)
    assert (answer.body, answer.sender) == (b"answer", "beta-agent")


async def test_every_reply_address_is_another(broker: Harness) -> None:
    alpha = await broker.connect("alpha-agent")
    await broker.declare("beta-agent")
    async with alpha.replies() as (one, answers), alpha.replies() as (other, _):
        assert one != other
        await (await broker.connect("beta-agent")).publish(outgoing(sender="beta-agent", receiver=other, type="pong"))
        await nothing_arrives(answers)


async def test_a_reply_address_that_was_closed_is_unroutable(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await broker.connect("alpha-agent"), await broker.connect("beta-agent")
    async with alpha.replies() as (address, _):
        pass
    with pytest.raises(UnroutableError):
        await beta.publish(outgoing(sender="beta-agent", receiver=address, type="pong"))


async def test_a_reply_address_of_a_closed_transport_is_unroutable(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await broker.connect("alpha-agent"), await broker.connect("beta-agent")
    async with alpha.replies() as (address, _):
        await alpha.aclose()
        with pytest.raises(UnroutableError):
            await beta.publish(outgoing(sender="beta-agent", receiver=address, type="pong"))
