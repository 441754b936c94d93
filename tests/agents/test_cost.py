"""What a message costs its agent, in counts that no machine changes: store operations, commits and decodings."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agents.at_work import AGENT, CATALOGUE, Answer, Question, Workplace, eventually, workplace
from interlock.agents import attempt
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.bus.clock import VirtualClock
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message


@pytest.fixture
def agent() -> Agent:
    library = Agent(AGENT, catalogue=CATALOGUE)

    @library.on
    async def answer(question: Question, _: Context) -> Answer:
        return Answer(text=question.text)

    return library


SETTINGS = RuntimeSettings(concurrency=64, heartbeat=3600.0)


def still_workplace(agent: Agent, directory: Path) -> AbstractAsyncContextManager[Workplace]:
    """Set up a workplace whose clock stands still, so that nothing looks for what is due meanwhile."""
    return workplace(agent, directory, clock=VirtualClock(), settings=SETTINGS)


async def test_a_message_is_one_operation_to_begin_one_to_end_and_a_share_of_a_mark(
    agent: Agent, tmp_path: Path
) -> None:
    async with still_workplace(agent, tmp_path) as place, place.running() as (_, store):
        await place.say(Question(text="first"))
        await place.until(lambda: place.answers)
        before = store.statistics()
        for number in range(20):
            await place.say(Question(text=str(number)))
            await place.until(lambda number=number: Answer(text=str(number)) in place.answers)  # type: ignore[misc] # a default
        after = store.statistics()
        assert after.operations - before.operations <= 20 * 3 + 1, "the first one's mark may be late"
        assert after.commits - before.commits <= 20 * 3 + 1


async def test_what_arrives_together_shares_its_commits(agent: Agent, tmp_path: Path) -> None:
    async with still_workplace(agent, tmp_path) as place, place.running() as (_, store):
        await place.say(Question(text="first"))
        await place.until(lambda: place.answers)
        before = store.statistics()
        async with asyncio.TaskGroup() as tasks:
            for number in range(48):
                tasks.create_task(place.say(Question(text=str(number))))
        await place.until(lambda: len(place.answers) == 49)
        after = store.statistics()
        assert after.commits - before.commits <= 48, "a third of what they cost one by one, however the threads run"


async def test_a_message_is_decoded_once(agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []

    def counted(body: bytes, *, catalogue: Catalogue) -> Envelope[Message]:
        decoded.append(body)
        return decode(body, catalogue=catalogue)

    monkeypatch.setattr(attempt, "decode", counted)  # counts, and decodes as it always does
    async with workplace(agent, tmp_path, settings=SETTINGS) as place, place.running():
        for number in range(5):
            await place.say(Question(text=str(number)))
        await place.until(lambda: len(place.answers) == 5)
        assert decoded == [], "what was validated at the door is not decoded again"


async def test_a_conversation_s_next_message_is_begun_at_the_end_of_the_one_before(
    agent: Agent, tmp_path: Path
) -> None:
    conversation = "0190b0f4-0000-7000-8000-000000000000"
    async with still_workplace(agent, tmp_path) as place, place.running() as (runtime, _):
        for number in range(30):
            await place.say(Question(text=str(number)), conversation_id=conversation)
        await place.until(lambda: len(place.answers) == 30)
        assert place.answers == [Answer(text=str(number)) for number in range(30)]
        await eventually(lambda: "working=0" in repr(runtime))


async def test_more_messages_than_places_are_all_worked_on(agent: Agent, tmp_path: Path) -> None:
    settings = RuntimeSettings(concurrency=2, heartbeat=3600.0)
    async with workplace(agent, tmp_path, clock=VirtualClock(), settings=settings) as place, place.running():
        async with asyncio.TaskGroup() as tasks:
            for number in range(100):
                tasks.create_task(place.say(Question(text=str(number))))
        await place.until(lambda: len(place.answers) == 100)
