"""An agent is a name and functions; the annotation of the first parameter says which messages a function is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from agents.at_work import AGENT, CATALOGUE, Answer, Note, Question
from interlock.agents.agent import Addressed, Agent, to
from interlock.agents.context import Context
from interlock.agents.timer import TimerFired
from interlock.protocol.errors import UsageError
from interlock.protocol.messages.presence import AgentHeartbeat

if TYPE_CHECKING:
    from collections.abc import Sized


@pytest.fixture
def agent() -> Agent:
    return Agent(AGENT, catalogue=CATALOGUE)


def test_the_annotation_selects_the_message(agent: Agent) -> None:
    @agent.on
    async def answer(question: Question, context: Context) -> Answer:
        return Answer(text=question.text)

    assert agent.handles == ("question",)
    assert agent.handler("question") is answer
    assert agent.handler("answer") is None


def test_a_union_selects_several(agent: Agent) -> None:
    @agent.on
    async def either(message: Question | Answer, context: Context) -> None: ...

    assert agent.handles == ("answer", "question")


def test_methods_and_callable_objects_are_handlers_too(agent: Agent) -> None:
    class Librarian:
        async def answer(self, question: Question, context: Context) -> None: ...

        async def __call__(self, note: Note, context: Context) -> None: ...

    librarian = Librarian()
    agent.on(librarian.answer)
    agent.on(librarian)
    assert agent.handles == ("note", "question")


def test_only_what_is_sent_to_all_is_an_announcement(agent: Agent) -> None:
    @agent.on
    async def hear(message: Question | Note | AgentHeartbeat, context: Context) -> None: ...

    assert agent.announcements == {"note", "agent_heartbeat"}


async def untyped(message, context) -> None: ...  # type: ignore[no-untyped-def]


async def too_wide(message: int | Question, context: Context) -> None: ...


async def without_parameters() -> None: ...


async def unresolvable(message: Question, context: Context) -> Sized | None: ...


@pytest.mark.parametrize("handler", [untyped, too_wide, without_parameters, unresolvable])
def test_a_function_that_no_message_selects_is_refused_by_name(agent: Agent, handler: object) -> None:
    with pytest.raises(UsageError, match=getattr(handler, "__name__", "")):
        agent.on(handler)  # type: ignore[type-var]


def test_one_message_has_one_handler(agent: Agent) -> None:
    @agent.on
    async def first(question: Question, context: Context) -> None: ...

    async def second(question: Question, context: Context) -> None: ...

    assert agent.on(first) is first
    with pytest.raises(UsageError, match="two handlers for question"):
        agent.on(second)


def test_a_timer_has_one_handler_and_is_no_message_that_others_are_told_of(agent: Agent) -> None:
    async def wake(timer: TimerFired, context: Context) -> None: ...

    async def another(timer: TimerFired, context: Context) -> None: ...

    agent.handle_timer("overdue", wake)
    assert agent.timer_handler("overdue") is wake
    assert agent.handles == ()
    with pytest.raises(UsageError, match="two handlers for the timer overdue"):
        agent.handle_timer("overdue", another)
    with pytest.raises(UsageError, match="no message may have the type timer"):
        agent.on(wake)


def test_an_addressed_message_knows_its_receiver() -> None:
    assert to("qa-agent", Answer(text="a")) == Addressed(Answer(text="a"), "qa-agent")
    assert repr(Agent(AGENT)) == f"Agent('{AGENT}', handles=[])"
