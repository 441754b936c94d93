"""The testing aid behaves as the runtime does, without a broker and without waiting."""

from __future__ import annotations

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.testing import AgentTester
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import PermanentError, TransientError, UsageError
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskFailed


@pytest.fixture
def agent() -> Agent:
    library = Agent(AGENT, catalogue=CATALOGUE)

    @library.on
    async def answer(question: Question | Note, context: Context) -> Answer:
        if question.text == "later" and context.attempt < 3:
            raise TransientError("not yet")
        if question.text == "never":
            raise PermanentError("no")
        return Answer(text=question.text)

    return library


async def test_an_answer_is_returned(agent: Agent) -> None:
    async with AgentTester(agent) as tester:
        assert await tester.receives(Question(text="hello"), sender=PEER) == [Answer(text="hello")]
        assert await tester.receives(Note(text="hello")) == [Answer(text="hello")]
        assert [envelope.receiver for envelope in tester.sent] == [PEER, PEER]


async def test_a_retry_comes_with_time(agent: Agent) -> None:
    async with AgentTester(agent) as tester:
        assert await tester.receives(Question(text="later"), sender=PEER) == []
        begun = tester.clock.now()
        assert await tester.advance(10.0) == [Answer(text="later")]
        assert (tester.clock.now() - begun).total_seconds() == 10.0


async def test_a_failure_is_told_and_kept(agent: Agent) -> None:
    async with AgentTester(agent) as tester:
        answers = await tester.receives(Question(text="never"), sender=PEER)
        assert answers == [TaskFailed(code="failed", reason="no")]
        assert [row.errors for row in await tester.dead()] == [("no",)]


async def test_a_double_is_handled_once_and_a_reused_id_is_refused(agent: Agent) -> None:
    async with AgentTester(agent) as tester:
        envelope: Envelope[Message] = Envelope.wrap(
            Note(text="hello"), sender=PEER, receiver=AGENT, sent_at=tester.clock.now()
        )
        assert await tester.delivered(envelope) == [Answer(text="hello")]
        assert await tester.delivered(envelope) == []
        with pytest.raises(UsageError, match="another body"):
            await tester.receives(Note(text="other"), id=envelope.id)


async def test_it_has_to_be_entered(agent: Agent) -> None:
    with pytest.raises(UsageError, match="async with"):
        await AgentTester(agent).receives(Note(text="hello"))
