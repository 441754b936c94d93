"""Declaring, and what a transport says about itself, on every transport."""

from __future__ import annotations

import pytest

from bus.harness import Harness, outgoing, take
from interlock.bus.transport import AgentQueue
from interlock.protocol.errors import UsageError


async def test_declaring_again_changes_nothing(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(b"kept"))
    await broker.declare("beta-agent")
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        assert (await take(deliveries))[0].body == b"kept"


async def test_declaring_again_may_add_announcements(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await broker.declare(AgentQueue("beta-agent", announcements=frozenset({"pong"})))
    await (await broker.connect("alpha-agent")).publish(outgoing(b"news", receiver="all", type="pong"))
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        assert (await take(deliveries))[0].body == b"news"


async def test_declaring_other_limits_is_refused(broker: Harness) -> None:
    await broker.declare("beta-agent")
    with pytest.raises(UsageError, match="beta-agent"):
        await broker.declare(AgentQueue("beta-agent", delivery_limit=9))


async def test_agents_may_be_declared_one_after_the_other(broker: Harness) -> None:
    await broker.declare("beta-agent")
    await broker.declare("gamma-agent")
    alpha = await broker.connect("alpha-agent")
    for receiver in ("beta-agent", "gamma-agent"):
        await alpha.publish(outgoing(receiver=receiver))


async def test_a_transport_knows_whose_it_is_and_what_it_can_do(broker: Harness) -> None:
    alpha = await broker.connect("alpha-agent")
    assert alpha.identity == "alpha-agent"
    assert alpha.features.name == broker.name
    assert alpha.features.durable == alpha.features.authenticates == (broker.name == "rabbitmq")
    assert (await alpha.broker_version()).lower().startswith(broker.name)


async def test_closing_twice_is_closing_once(broker: Harness) -> None:
    alpha = await broker.connect("alpha-agent")
    await alpha.aclose()
    await alpha.aclose()


async def test_what_is_shown_of_a_transport_names_its_identity(broker: Harness) -> None:
    assert "alpha-agent" in repr(await broker.connect("alpha-agent"))
