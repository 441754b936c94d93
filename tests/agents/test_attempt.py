"""What an attempt makes of rows that no handler is meant for, and whom it tells of what it has written."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Question, eventually
from interlock.agents.agent import Agent
from interlock.agents.attempt import Attempts
from interlock.agents.context import Context
from interlock.agents.patience import Patience
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.agents.testing import AgentTester
from interlock.agents.timer import TimerFired
from interlock.bus.clock import VirtualClock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.records import Claim, Commit, InboxMessage, OutboxMessage, TimerRow
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.store.writer import StoreUnavailableError
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
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


class Writing:
    """An attempt at one question, the store's thread held up before the commits of its answer, if that is wanted."""

    def __init__(self) -> None:
        self.told: list[Sequence[OutboxMessage]] = []
        """What the relay would be told."""
        self.reached = False
        self.holds = False
        self.go_on = threading.Event()

    def reach(self, moment: str) -> None:
        if self.holds and moment == "before_commit":
            self.reached = True
            assert self.go_on.wait(5)

    async def make(self, store: SqliteStore, claim: Claim, clock: VirtualClock) -> None:
        attempts = Attempts(
            agent_that_answers(),
            store=store,
            clock=clock,
            patience=Patience(clock, longest=0.0),
            settings=RuntimeSettings(),
            written=self.told.append,
            rescheduled=lambda: None,
        )
        await attempts.make(claim)


def agent_that_answers() -> Agent:
    agent = Agent(AGENT, catalogue=CATALOGUE)

    async def answer(question: Question, _: Context) -> Answer:
        return Answer(text=question.text)

    agent.on(answer)
    return agent


async def claimed(store: SqliteStore, clock: VirtualClock) -> Claim:
    asked = Envelope.wrap(Question(text="yes?"), sender=PEER, receiver=AGENT, sent_at=clock.now())
    await store.receive(
        InboxMessage(asked.id, asked.sender, asked.type, asked.conversation_id, encode(asked), clock.now())
    )
    (claim,) = await store.claim(limit=1, lease=30.0)
    return claim


async def test_what_was_written_is_handed_on(tmp_path: Path) -> None:
    clock, writing = VirtualClock(), Writing()
    async with aclosing(await SqliteStore.open(tmp_path / "agent.db", agent=AGENT, clock=clock)) as store:
        await writing.make(store, await claimed(store, clock), clock)
        assert writing.told == [await store.unsent(limit=9)]


async def test_an_answer_whose_writing_nobody_waits_for_any_more_is_looked_for(tmp_path: Path) -> None:
    clock, writing = VirtualClock(), Writing()
    async with aclosing(
        await SqliteStore.open(tmp_path / "agent.db", agent=AGENT, clock=clock, fail_point=writing.reach)
    ) as store:
        claim = await claimed(store, clock)
        writing.holds = True
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(writing.make, store, claim, clock)
                await eventually(lambda: writing.reached)
                tasks.cancel_scope.cancel()
        finally:
            writing.go_on.set()
        assert writing.told == [()]
        assert len(await store.unsent(limit=9)) == 1


class SilentStore(SqliteStore):
    """Does what it is asked, and loses its word that it has."""

    async def finish(self, claim: Claim, commit: Commit) -> None:
        await super().finish(claim, commit)
        raise StoreUnavailableError("the store cannot be used: the connection is lost; it may have been written")


async def test_an_answer_of_which_the_store_did_not_say_that_it_is_written_is_looked_for(tmp_path: Path) -> None:
    clock, writing = VirtualClock(), Writing()
    async with aclosing(await SilentStore.open(tmp_path / "agent.db", agent=AGENT, clock=clock)) as store:
        claim = await claimed(store, clock)
        with pytest.raises(LeaseLostError):
            await writing.make(store, claim, clock)
        assert writing.told == [()]
        assert len(await store.unsent(limit=9)) == 1
