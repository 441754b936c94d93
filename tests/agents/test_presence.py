"""An agent says when it comes, that it lives, and when it goes; a broker that does not listen harms nothing."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from agents.at_work import AGENT, CATALOGUE, Question, eventually, workplace
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.presence import Presence
from interlock.bus.clock import VirtualClock


@pytest.fixture
def agent() -> Agent:
    library = Agent(AGENT, catalogue=CATALOGUE)

    @library.on
    async def answer(_: Question, __: Context) -> None: ...

    return library


async def test_an_agent_announces_itself_beats_and_leaves(agent: Agent, tmp_path: Path) -> None:
    clock = VirtualClock()
    async with workplace(agent, tmp_path, clock=clock) as place:
        async with place.running():
            await clock.advance(10.0)
            await place.until(lambda: "agent_heartbeat" in place.announced)
        await place.until(lambda: place.announced[-1] == "agent_offline")
        assert place.announced[0] == "agent_announced"


async def test_a_transport_that_refuses_is_logged_and_forgotten(
    agent: Agent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with workplace(agent, tmp_path) as place:
        store = await place.open_store()
        stranger = place.broker.connect("another-agent")
        presence = Presence(agent, transport=stranger, store=store, clock=place.clock)
        await presence.announce()
        await presence.leave("the test is over")
        await store.aclose()
    assert caplog.text.count("could not announce itself") == 2


async def test_a_heartbeat_is_skipped_while_the_store_is_away(
    agent: Agent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = VirtualClock()
    async with workplace(agent, tmp_path, clock=clock) as place:
        store = await place.open_store()
        await store.aclose()
        presence = Presence(agent, transport=place.broker.connect(AGENT), store=store, clock=clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(presence.beat, 10.0, lambda: 0)
            await clock.advance(25.0)
            await eventually(lambda: caplog.text.count("skips a heartbeat") == 2)
            tasks.cancel_scope.cancel()
    assert place.announced == []
