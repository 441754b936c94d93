"""An agent is a name and functions; the annotation of the first parameter says which messages a function is for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.agent import Addressed, Agent, to
from interlock.agents.context import Context
from interlock.agents.testing import AgentTester
from interlock.agents.timer import TimerFired
from interlock.protocol.errors import UsageError
from interlock.protocol.message import Event, Message, Route
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
    with pytest.raises(UsageError, match="two handlers for question version 1"):
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


class Scale(Event, type="scale", route=Route.of(PEER, AGENT)):
    """Version 1 counts dozens."""

    dozens: int


def in_pieces(older: dict[str, Any]) -> dict[str, Any]:
    return {"pieces": older["dozens"] * 12}


class Scale2(Event, type="scale", version=2, route=Route.of(PEER, AGENT), upcast=in_pieces):
    """Version 2 counts pieces."""

    pieces: int


class Scale3(Event, type="scale", version=3, route=Route.of(PEER, AGENT)):
    """Version 3 is about something that no older one tells."""

    colour: str


async def test_an_older_version_reaches_the_handler_of_the_newer_one() -> None:
    heard: list[Message] = []
    agent = Agent(AGENT, catalogue=CATALOGUE.with_messages(Scale))

    @agent.on
    async def hear(message: Scale2, context: Context) -> None:
        heard.append(message)

    async with AgentTester(agent) as tester:
        await tester.receives(Scale(dozens=2))
        await tester.receives(Scale2(pieces=5))

    assert heard == [Scale2(pieces=24), Scale2(pieces=5)]


async def test_a_handler_of_an_older_version_keeps_getting_it_when_a_newer_one_is_installed() -> None:
    heard: list[Message] = []
    agent = Agent(AGENT, catalogue=CATALOGUE.with_messages(Scale, Scale2))

    @agent.on
    async def hear(message: Scale, context: Context) -> None:
        heard.append(message)

    async with AgentTester(agent) as tester:
        await tester.receives(Scale(dozens=2))
        await tester.receives(Scale2(pieces=5))
        (dead,) = await tester.dead()

    assert heard == [Scale(dozens=2)]
    assert "known in versions [1]" in dead.errors[-1]


def test_versions_that_no_upcast_joins_have_a_handler_each(agent: Agent) -> None:
    async def second(message: Scale2, context: Context) -> None: ...

    async def third(message: Scale3, context: Context) -> None: ...

    agent.on(second)
    agent.on(third)

    assert (agent.handler("scale", 2), agent.handler("scale", 3)) == (second, third)
    assert agent.handles == ("scale",)


def test_a_handler_that_would_never_be_called_is_refused(agent: Agent) -> None:
    @agent.on
    async def second(message: Scale2, context: Context) -> None: ...

    async def first(message: Scale, context: Context) -> None: ...

    with pytest.raises(UsageError, match="scale version 1 is upcast to version 2"):
        agent.on(first)


async def test_the_messages_in_a_handlers_annotations_need_no_catalogue() -> None:
    agent = Agent(AGENT)

    @agent.on
    async def answer(question: Question, context: Context) -> tuple[Answer, Addressed]:
        return Answer(text=question.text), to(PEER, Answer(text="again"))

    async with AgentTester(agent) as tester:
        assert await tester.receives(Question(text="a"), sender=PEER) == [Answer(text="a"), Answer(text="again")]
