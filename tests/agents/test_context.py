"""An effect on the outside world happens at most once, is journalled, and is looked at when it may have happened."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Question
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.testing import AgentTester
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskFailed


class World:
    """An outside system, and an agent that changes it once per conversation."""

    def __init__(self) -> None:
        self.changes = 0
        self.accidents: list[BaseException] = []
        """What goes wrong in the next changes, in order."""
        self.afterwards: list[Exception] = []
        """What goes wrong in the handler after its effect."""
        self.repeatable = False
        self.result: Callable[[], object] = lambda: self.changes
        self.agent = Agent(AGENT, catalogue=CATALOGUE)
        self.agent.on(self.answer)

    async def change(self) -> object:
        self.changes += 1
        if self.accidents:
            raise self.accidents.pop(0)
        return self.result()

    async def answer(self, question: Question, context: Context) -> Answer:
        changed = await context.once("change", self.change, request=question.text, repeatable=self.repeatable)
        if self.afterwards:
            raise self.afterwards.pop(0)
        return Answer(text=str(changed))


async def ask(tester: AgentTester, text: str = "hello", *, conversation: str | None = None) -> list[Message]:
    conversation = conversation or new_id()
    answers = await tester.receives(Question(text=text), sender=PEER, conversation_id=conversation)
    return answers + await tester.advance(60.0)


@pytest.fixture
def world() -> World:
    return World()


async def test_an_effect_that_is_done_is_not_repeated_when_its_handler_is(world: World) -> None:
    world.afterwards = [TransientError("the network"), TransientError("again")]
    async with AgentTester(world.agent) as tester:
        assert await ask(tester) == [Answer(text="1")]
    assert world.changes == 1


async def test_its_result_is_given_to_every_later_message_of_the_conversation(world: World) -> None:
    conversation = new_id()
    async with AgentTester(world.agent) as tester:
        assert await ask(tester, conversation=conversation) == [Answer(text="1")]
        assert await ask(tester, conversation=conversation) == [Answer(text="1")]
        assert await ask(tester) == [Answer(text="2")]


async def test_the_same_key_for_another_request_is_a_mistake(world: World) -> None:
    conversation = new_id()
    async with AgentTester(world.agent) as tester:
        await ask(tester, "one", conversation=conversation)
        (answer,) = await ask(tester, "two", conversation=conversation)
        assert isinstance(answer, TaskFailed)
        assert "another request needs a key of its own" in answer.reason
    assert world.changes == 1


async def test_an_effect_that_failed_for_certain_is_tried_again(world: World) -> None:
    world.accidents = [TransientError("busy"), TransientError("busy")]
    async with AgentTester(world.agent) as tester:
        assert await ask(tester) == [Answer(text="3")]


async def test_an_effect_that_was_refused_can_be_asked_for_anew(world: World) -> None:
    world.accidents = [PermanentError("not allowed")]
    conversation = new_id()
    async with AgentTester(world.agent) as tester:
        assert await ask(tester, conversation=conversation) == [TaskFailed(code="failed", reason="not allowed")]
        assert await ask(tester, conversation=conversation) == [Answer(text="2")]


@pytest.mark.parametrize("accident", [UnknownOutcomeError("the line broke"), KeyError("a defect")])
async def test_an_effect_that_may_have_happened_is_never_repeated_blindly(world: World, accident: Exception) -> None:
    world.accidents = [accident]
    conversation = new_id()
    async with AgentTester(world.agent) as tester:
        (answer,) = await ask(tester, conversation=conversation)
        assert isinstance(answer, TaskFailed)
        assert answer.outcome == "unknown"
        (answer,) = await ask(tester, conversation=conversation)
        assert isinstance(answer, TaskFailed)
        assert "look at the outside system" in answer.reason
        assert (answer.outcome, answer.side_effects) == ("unknown", ("change",))
    assert world.changes == 1


@pytest.mark.parametrize("accident", [UnknownOutcomeError("the line broke"), KeyError("a defect")])
async def test_one_that_looks_before_it_acts_may_be_repeated(world: World, accident: Exception) -> None:
    world.repeatable = True
    world.accidents = [accident]
    async with AgentTester(world.agent) as tester:
        assert await ask(tester) == [Answer(text="2")]


async def test_a_result_that_cannot_be_journalled_is_a_mistake_and_no_reason_to_act_again(world: World) -> None:
    world.result = object
    conversation = new_id()
    async with AgentTester(world.agent) as tester:
        (answer,) = await ask(tester, conversation=conversation)
        assert isinstance(answer, TaskFailed)
        assert "return JSON" in answer.reason
        await ask(tester, conversation=conversation)
    assert world.changes == 1


async def test_the_context_knows_who_asked_and_which_attempt_it_is() -> None:
    agent = Agent(AGENT, catalogue=CATALOGUE)
    seen: list[tuple[str, str, int]] = []

    @agent.on
    async def answer(_: Question, context: Context) -> None:
        seen.append((context.sender, context.conversation_id, context.attempt))
        if context.attempt < 3:
            raise TransientError("again")

    conversation = new_id()
    async with AgentTester(agent) as tester:
        await ask(tester, conversation=conversation)
    assert seen == [(PEER, conversation, attempt) for attempt in (1, 2, 3)]
