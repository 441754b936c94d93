"""One conversation is one trace: through outbox and inbox, retries, refusals, timers and restarts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question, Workplace, eventually, workplace
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.systems.outside import calling
from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import TelemetrySettings
from interlock.agents.telemetry.trace_file import Span, read_trace
from interlock.agents.timer import TimerFired
from interlock.bus.store.records import Commit, TimerRow, WorkflowRow
from interlock.protocol.errors import PermanentError, TransientError
from interlock.protocol.ids import new_id
from interlock.protocol.messages.task import TaskFailed

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def library() -> Agent:
    return Agent(AGENT, catalogue=CATALOGUE)


@asynccontextmanager
async def traced(
    place: Workplace, file: Path, *, ratio: float = 1.0, spans: Literal["late", "sdk"] = "late"
) -> AsyncGenerator[None]:
    """Run the place's agent with its spans written to a file."""
    settings = TelemetrySettings(traces=str(file), sample_ratio=ratio, spans=spans)
    async with (
        open_telemetry(settings, agent=AGENT, version="1.2.3", system="memory", clock=place.clock) as opened,
        place.running(telemetry=opened.telemetry),
    ):
        yield


def named(spans: tuple[Span, ...], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


@pytest.mark.parametrize("spans", ["late", "sdk"])
async def test_receiving_processing_and_sending_hang_together(
    spans: Literal["late", "sdk"], library: Agent, tmp_path: Path
) -> None:
    @library.on
    async def answer(question: Question, context: Context) -> Answer:
        with calling("shelf", "look") as call:
            call.note("http.response.status_code", 200)
        await context.once("stamp", stamp)
        return Answer(text=question.text)

    async def stamp() -> None:
        with calling("shelf", "stamp"):
            return

    file, conversation = tmp_path / "trace.jsonl", new_id()
    async with workplace(library, tmp_path) as place, traced(place, file, spans=spans):
        asked = await place.say(Question(text="hello"), conversation_id=conversation)
        await place.until(lambda: place.told)

    seen = read_trace(file)
    (told,) = place.told
    receive, process = named(seen, "receive question"), named(seen, "process question")
    send, effect = named(seen, "send answer"), named(seen, "effect stamp")
    assert {span.trace_id for span in seen} == {conversation.replace("-", "")}
    assert {span.service for span in seen} == {AGENT}
    assert receive.parent_id is None, "nobody before this agent has traced: its span is the root"
    assert process.parent_id == receive.span_id
    assert named(seen, "shelf look").parent_id == process.span_id
    assert effect.parent_id == process.span_id
    assert named(seen, "shelf stamp").parent_id == effect.span_id
    assert send.parent_id == process.span_id
    assert told.traceparent == f"00-{send.trace_id}-{send.span_id}-01"
    assert [receive.kind, process.kind, send.kind] == ["CLIENT", "CONSUMER", "PRODUCER"]
    assert process.attributes["messaging.message.id"] == asked
    assert process.attributes["messaging.destination.name"] == f"interlock.messages:{AGENT}.question:{AGENT}"
    assert send.attributes["messaging.destination.name"] == f"interlock.messages:{PEER}.answer"
    assert receive.attributes["interlock.receipt"] == "new"


async def test_the_sender_s_trace_is_continued(library: Agent, tmp_path: Path) -> None:
    @library.on
    async def answer(question: Question, _: Context) -> Answer:
        return Answer(text=question.text)

    file = tmp_path / "trace.jsonl"
    async with workplace(library, tmp_path) as place, traced(place, file):
        await place.say(Question(text="hello"), traced_as=TRACEPARENT)
        await place.until(lambda: place.told)

    spans = read_trace(file)
    assert {span.trace_id for span in spans} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert named(spans, "receive question").parent_id == "00f067aa0ba902b7"
    assert named(spans, "process question").parent_id == "00f067aa0ba902b7"


@pytest.mark.parametrize("spans", ["late", "sdk"])
async def test_every_attempt_is_a_span_and_errors_are_told_without_their_text(
    spans: Literal["late", "sdk"], library: Agent, tmp_path: Path
) -> None:
    @library.on
    async def answer(_: Question, context: Context) -> Answer:
        if context.attempt == 1:
            raise TransientError("the shelf is locked; try again")
        if context.attempt == 2:
            raise RuntimeError("password=hunter2")
        raise PermanentError("there is no such book")

    file = tmp_path / "trace.jsonl"
    async with workplace(library, tmp_path) as place, traced(place, file, spans=spans):
        await place.say(Question(text="hello"))
        await place.until(lambda: place.told)

    seen = read_trace(file)
    attempts = [span for span in seen if span.name == "process question"]
    assert [span.attributes["interlock.attempt"] for span in attempts] == [1, 2, 3]
    assert [span.attributes["error.type"] for span in attempts] == ["TransientError", "RuntimeError", "PermanentError"]
    assert all(span.is_error for span in attempts)
    assert "hunter2" not in file.read_text()
    assert isinstance(place.told[0].payload, TaskFailed)
    assert named(seen, "send task_failed").parent_id == attempts[-1].span_id


@pytest.mark.parametrize("spans", ["late", "sdk"])
async def test_a_timer_continues_its_conversation_after_a_restart(
    spans: Literal["late", "sdk"], library: Agent, tmp_path: Path
) -> None:
    woken: list[str] = []

    @library.on
    async def answer(_: Question, context: Context) -> Answer:
        return Answer(text="later")

    async def wake(timer: TimerFired, context: Context) -> None:
        woken.append(timer.name)

    library.handle_timer("due", wake)
    file, conversation = tmp_path / "trace.jsonl", new_id()
    async with workplace(library, tmp_path) as place:
        async with traced(place, file, spans=spans):
            await place.say(Question(text="hello"), conversation_id=conversation)
            await place.until(lambda: place.told)
        store = await place.open_store()
        due = place.clock.now() + timedelta(milliseconds=1)
        await store.commit(Commit(set_timers=(TimerRow(conversation, "due", due),)))
        await store.aclose()
        async with traced(place, file, spans=spans):
            await eventually(lambda: bool(woken))

    seen = read_trace(file)
    timer, root = named(seen, "process timer"), named(seen, "receive question")
    assert timer.trace_id == root.trace_id == conversation.replace("-", "")
    assert timer.parent_id == root.span_id


async def test_what_could_not_be_read_begins_no_trace(library: Agent, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    async with workplace(library, tmp_path) as place, traced(place, file):
        await place.say(Note(text="hello"), type="question")
        await place.until(lambda: place.told)

    assert read_trace(file) == ()
    assert place.told[0].traceparent is None


async def test_announcements_begin_no_trace(library: Agent, tmp_path: Path) -> None:
    file = tmp_path / "trace.jsonl"
    async with workplace(library, tmp_path) as place, traced(place, file):
        await place.until(lambda: place.announced)

    assert read_trace(file) == ()


@pytest.mark.parametrize("spans", ["late", "sdk"])
async def test_what_is_not_sampled_is_traced_by_nobody_downstream(
    spans: Literal["late", "sdk"], library: Agent, tmp_path: Path
) -> None:
    @library.on
    async def answer(question: Question, _: Context) -> Answer:
        return Answer(text=question.text)

    file = tmp_path / "trace.jsonl"
    async with workplace(library, tmp_path) as place, traced(place, file, ratio=0.0, spans=spans):
        await place.say(Question(text="hello"))
        await place.until(lambda: place.told)

    (told,) = place.told
    assert read_trace(file) == ()
    assert told.traceparent is not None
    assert told.traceparent.endswith("-00")


async def test_switched_off_a_cause_s_context_is_handed_on(library: Agent, tmp_path: Path) -> None:
    @library.on
    async def answer(question: Question, _: Context) -> Answer:
        return Answer(text=question.text)

    async with workplace(library, tmp_path) as place, place.running():
        await place.say(Question(text="hello"), traced_as=TRACEPARENT)
        await place.until(lambda: place.told)

    assert place.told[0].traceparent == TRACEPARENT


async def test_a_word_that_joins_a_workflow_begins_no_second_trace(library: Agent, tmp_path: Path) -> None:
    @library.on
    async def answer(question: Question, _: Context) -> Answer:
        return Answer(text=question.text)

    file, conversation = tmp_path / "trace.jsonl", new_id()
    async with workplace(library, tmp_path) as place:
        store = await place.open_store()
        row = WorkflowRow(conversation, "loan", 1, "lent", ended=False, state=b"{}", updated_at=place.clock.now())
        await store.commit(Commit(workflow=row))
        await store.aclose()
        async with traced(place, file):
            await place.say(Question(text="granted"), conversation_id=conversation)
            await place.until(lambda: place.told)

    receive = named(read_trace(file), "receive question")
    assert receive.trace_id == conversation.replace("-", "")
    assert receive.parent_id == receive.trace_id[:16], "the root's, which somebody else has told"
