"""The journal's past, on every transport."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import pytest

from bus.conftest import RabbitHarness
from bus.harness import RESTRICTED, Harness, outgoing
from interlock.bus.errors import NotPermittedError
from interlock.bus.transport import JournalEntry, Transport
from interlock.protocol.ids import new_id

MANY = 1200
"""More than any prefetch."""


async def history(transport: Transport, *, since: datetime | None = None, of: bytes) -> list[JournalEntry]:
    """Return the entries whose body begins like this: the journal of a shared broker holds more."""
    async with transport.history(since=since) as entries:
        return [entry async for entry in entries if entry.body.startswith(of)]


async def test_what_was_published_is_read_in_order_to_the_end(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, gamma = await broker.connect("alpha-agent"), await broker.connect("gamma-agent")
    mark = new_id().encode()
    for number in range(MANY):
        await alpha.publish(outgoing(b"%s %d" % (mark, number)))

    entries = await history(gamma, of=mark)

    assert [int(entry.body.split()[1]) for entry in entries] == list(range(MANY))
    assert {(entry.routing_key, entry.sender) for entry in entries} == {("beta-agent.ping", "alpha-agent")}


async def test_it_ends_although_more_is_published(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, gamma = await broker.connect("alpha-agent"), await broker.connect("gamma-agent")
    mark = new_id().encode()
    await alpha.publish(outgoing(mark + b" before"))

    before = await history(gamma, of=mark)
    await alpha.publish(outgoing(mark + b" after"))

    assert [entry.body for entry in before] == [mark + b" before"]
    assert [entry.body for entry in await history(gamma, of=mark)] == [mark + b" before", mark + b" after"]


async def test_it_ends_while_others_go_on_publishing(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, gamma = await broker.connect("alpha-agent"), await broker.connect("gamma-agent")
    mark = new_id().encode()
    await alpha.publish(outgoing(mark + b" before"))

    async def go_on() -> None:
        while True:
            await alpha.publish(outgoing(mark + b" more"))
            await anyio.sleep(0.02)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go_on)
        with anyio.fail_after(30.0):
            first, *_ = await history(gamma, of=mark)
            assert first.body == mark + b" before"
        tasks.cancel_scope.cancel()


async def test_announcements_and_what_was_taken_from_the_queues_are_there(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await broker.connect("alpha-agent")
    mark = new_id().encode()
    await alpha.publish(outgoing(mark, receiver="all"))

    (entry,) = await history(await broker.connect("gamma-agent"), of=mark)

    assert entry.routing_key == "all.ping"


async def test_nothing_is_missing_since_a_moment(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, gamma = await broker.connect("alpha-agent"), await broker.connect("gamma-agent")
    mark, now = new_id().encode(), datetime.now(UTC)
    await alpha.publish(outgoing(mark, sent_at=now))

    assert [entry.body for entry in await history(gamma, since=now - timedelta(seconds=1), of=mark)] == [mark]
    assert await history(gamma, since=now + timedelta(hours=1), of=mark) == []


async def test_an_agent_that_may_observe_nothing_may_not_read_the_past(rabbit: RabbitHarness) -> None:
    await rabbit.declare("beta-agent")

    with pytest.raises(NotPermittedError, match="may not read the journal"):
        await history(await rabbit.connect(RESTRICTED), of=b"")
