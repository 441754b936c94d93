"""What an attempt makes of rows that no handler is meant for."""

from __future__ import annotations

from datetime import timedelta

from agents.at_work import AGENT, CATALOGUE
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.testing import AgentTester
from interlock.agents.timer import TimerFired
from interlock.bus.store.records import Commit, InboxMessage, TimerRow
from interlock.protocol.ids import new_id


async def test_a_stored_message_that_a_new_release_cannot_read_is_dead_and_does_not_end_the_agent() -> None:
    async with AgentTester(Agent(AGENT, catalogue=CATALOGUE)) as tester:
        now = tester.clock.now()
        await tester.store.receive(InboxMessage(new_id(), "reader-agent", "gone", new_id(), b'{"type": "gone"}', now))
        assert await tester.advance(1.0) == []
        (dead,) = await tester.dead()
        assert "version: an integer is required" in dead.errors[0]


async def test_a_timer_reaches_the_handler_of_its_name_and_others_pass_silently() -> None:
    agent = Agent(AGENT, catalogue=CATALOGUE)
    woken: list[tuple[str, str]] = []

    async def wake(timer: TimerFired, context: Context) -> None:
        woken.append((timer.name, context.conversation_id))

    agent.handle_timer("alarm", wake)
    conversation = new_id()
    async with AgentTester(agent) as tester:
        due = tester.clock.now() + timedelta(seconds=5)
        timers = (TimerRow(conversation, "alarm", due), TimerRow(conversation, "unknown", due))
        await tester.store.commit(Commit(set_timers=timers))
        assert await tester.advance(10.0) == []
        assert await tester.dead() == ()
    assert woken == [("alarm", conversation)]
