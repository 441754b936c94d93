"""A change of behaviour against a recording is shown as messages, and can be written into it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.testing import AgentTester, Replay
from interlock.bus.clock import VirtualClock
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Message

START = datetime(2026, 1, 31, 9, tzinfo=UTC)
CONVERSATION = derived_id("the conversation")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def told(message: Message, *, seconds: int) -> Envelope[Message]:
    return Envelope.wrap(
        message, sender=PEER, receiver=AGENT, sent_at=at(seconds), conversation_id=CONVERSATION, id=derived_id(seconds)
    )


def said(message: Message, *, because: Envelope[Message], seconds: float) -> Envelope[Message]:
    return Envelope.wrap(
        message,
        sender=AGENT,
        receiver=PEER,
        sent_at=at(seconds),
        conversation_id=CONVERSATION,
        causation_id=because.id,
        hops=1,
    )


FIRST, SECOND = told(Question(text="one"), seconds=0), told(Note(text="two"), seconds=10)
RECORDING = (
    FIRST,
    said(Answer(text="about one"), because=FIRST, seconds=1),
    SECOND,
    said(Answer(text="about two"), because=SECOND, seconds=11),
)


def answering(*answers: str) -> Agent:
    """Return an agent that answers everything with these texts, which may hold `{}`."""
    agent = Agent(AGENT, catalogue=CATALOGUE)

    @agent.on
    async def answer(message: Question | Note, _context: Context) -> list[Answer]:
        return [Answer(text=text.format(message.text)) for text in answers]

    return agent


async def replayed(agent: Agent, *, ignoring: tuple[str, ...] = ()) -> Replay:
    replay = Replay(RECORDING, agent=AGENT, name="talk.jsonl", ignoring=ignoring)
    async with AgentTester(agent, clock=VirtualClock(START)) as tester:
        await replay.run(tester)
    return replay


async def test_the_same_behaviour_differs_in_nothing_and_updates_nothing() -> None:
    replay = await replayed(answering("about {}"))

    assert replay.differences() == ""
    assert replay.updated() == RECORDING


async def test_another_answer_is_shown_member_by_member() -> None:
    replay = await replayed(answering("of {}"))

    assert replay.differences() == (
        "library-agent answers otherwise than in talk.jsonl:\n"
        "  when told question by reader-agent (line 1):\n"
        "    answer to reader-agent, other than in line 2\n"
        '      - payload.text: "about one"\n'
        '      + payload.text: "of one"\n'
        "  when told note by reader-agent (line 3):\n"
        "    answer to reader-agent, other than in line 4\n"
        '      - payload.text: "about two"\n'
        '      + payload.text: "of two"'
    )


async def test_an_answer_too_many_and_one_too_few_are_shown_whole() -> None:
    assert '    answer to reader-agent, which was not recorded\n      + payload.text: "also two"' in (
        (await replayed(answering("about {}", "also {}"))).differences()
    )
    assert '    no answer to reader-agent, which is line 2\n      - payload.text: "about one"' in (
        (await replayed(answering())).differences()
    )


async def test_what_may_differ_is_ignored_by_its_path() -> None:
    assert (await replayed(answering("of {}"), ignoring=("payload.text",))).differences() == ""


async def test_an_updated_recording_has_todays_answers_in_their_places() -> None:
    replay = await replayed(answering("of {}", "also {}"))

    updated = replay.updated()

    texts = [getattr(envelope.payload, "text", "") for envelope in updated]
    assert texts == ["one", "of one", "also one", "two", "of two", "also two"]
    assert updated[1].id == RECORDING[1].id, "who refers to the old message refers to the new one"
    assert updated[1].sent_at == RECORDING[1].sent_at
    again = Replay(updated, agent=AGENT)
    async with AgentTester(answering("of {}", "also {}"), clock=VirtualClock(START)) as tester:
        await again.run(tester)
    assert again.differences() == ""


async def test_a_handler_that_breaks_is_named() -> None:
    agent = Agent(AGENT, catalogue=CATALOGUE)

    @agent.on
    async def answer(message: Note, _context: Context) -> Answer:
        raise UsageError("no such shelf")

    assert "    it gave the message up: no such shelf" in (await replayed(agent)).differences()


def test_an_agent_without_a_part_is_refused() -> None:
    with pytest.raises(UsageError, match=r"qa-agent has no part in talk.jsonl, which is between library-agent, reader"):
        Replay(RECORDING, agent="qa-agent", name="talk.jsonl")
