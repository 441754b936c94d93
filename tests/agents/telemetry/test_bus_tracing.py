"""A bus without a store takes part in traces: what it sends begins or continues one, what it receives continues it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio
import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import TelemetrySettings
from interlock.agents.telemetry.trace_file import Span, read_trace
from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.errors import UnroutableError
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import conversation_of, new_id
from interlock.protocol.message import Message

CONVERSATION = conversation_of("PROJ-140")


@asynccontextmanager
async def buses(
    file: Path, *, spans: Literal["late", "sdk"] = "late", ratio: float = 1.0
) -> AsyncGenerator[tuple[Bus, Bus]]:
    """Yield the peer's and the agent's, whose spans go to one file."""
    broker, clock, opened = MemoryBroker(), SystemClock(), list[Bus]()
    broker.declare(Topology((AgentQueue(AGENT), AgentQueue(PEER))))
    settings = TelemetrySettings(traces=str(file), spans=spans, sample_ratio=ratio)
    async with AsyncExitStack() as stack:
        for name in (PEER, AGENT):
            telemetry = (
                await stack.enter_async_context(
                    open_telemetry(settings, agent=name, version="1.2.3", system="memory", clock=clock)
                )
            ).telemetry
            opened.append(Bus(broker.connect(name), clock=clock, catalogue=CATALOGUE, telemetry=telemetry))
            stack.push_async_callback(opened[-1].aclose)
        peer, agent = opened
        yield peer, agent


def named(spans: tuple[Span, ...], name: str) -> Span:
    (found,) = [span for span in spans if span.name == name]
    return found


@pytest.mark.parametrize("spans", ["late", "sdk"])
async def test_a_request_its_handling_and_its_answer_are_one_trace(
    spans: Literal["late", "sdk"], tmp_path: Path
) -> None:
    asked: list[Envelope[Message]] = []

    async def answer(question: Envelope[Message]) -> Answer:
        asked.append(question)
        return Answer(text="yes")

    async with buses(tmp_path / "trace", spans=spans) as (peer, agent), anyio.create_task_group() as tasks:
        tasks.start_soon(agent.subscribe, answer)
        await peer.request(Question(text="is it there?"), to=AGENT)
        tasks.cancel_scope.cancel()

    seen = read_trace(tmp_path / "trace")
    send, receive = named(seen, "send question"), named(seen, "receive question")
    process, told, heard = named(seen, "process question"), named(seen, "send answer"), named(seen, "receive answer")
    assert send.parent_id is None
    assert send.trace_id == asked[0].conversation_id.replace("-", "")
    assert asked[0].traceparent == f"00-{send.trace_id}-{send.span_id}-01"
    assert [receive.parent_id, process.parent_id] == [send.span_id, send.span_id]
    assert told.parent_id == process.span_id
    assert heard.parent_id == told.span_id
    assert {span.trace_id for span in seen} == {send.trace_id}
    assert [span.service for span in (send, receive, process, told, heard)] == [PEER, AGENT, AGENT, AGENT, PEER]


async def test_what_is_said_in_a_conversation_that_others_began_stands_below_their_root(tmp_path: Path) -> None:
    async with buses(tmp_path / "trace") as (peer, agent), agent.observe(Note) as notes:
        await peer.publish(Note(text="by the way"), to=AGENT, conversation_id=CONVERSATION)
        note = await anext(notes)
    send = named(read_trace(tmp_path / "trace"), "send note")
    assert send.trace_id == CONVERSATION.replace("-", "")
    assert send.parent_id == send.trace_id[:16], "the id of every conversation's root span"
    assert note.traceparent == f"00-{send.trace_id}-{send.span_id}-01"


async def test_what_a_handler_says_on_a_bus_continues_what_it_handles(tmp_path: Path) -> None:
    async with buses(tmp_path / "trace") as (peer, agent), anyio.create_task_group() as tasks:

        async def pass_on(_: Envelope[Message]) -> None:
            await agent.publish(Question(text="and you?"), to=PEER)
            tasks.cancel_scope.cancel()

        tasks.start_soon(agent.subscribe, pass_on)
        await peer.publish(Note(text="look"), to=AGENT)

    seen = read_trace(tmp_path / "trace")
    assert named(seen, "send question").parent_id == named(seen, "process note").span_id
    assert {span.trace_id for span in seen} == {named(seen, "send note").trace_id}


async def test_a_publish_that_fails_is_told_and_leaves_its_ids_to_the_one_that_succeeds(tmp_path: Path) -> None:
    async with buses(tmp_path / "trace") as (peer, _):
        with pytest.raises(UnroutableError):
            await peer.publish(Question(text="anybody?"), to="no-agent")
    (failed,) = read_trace(tmp_path / "trace")
    assert failed.attributes["error.type"] == "UnroutableError"
    assert failed.parent_id == failed.trace_id[:16] != failed.span_id


async def test_what_is_not_sampled_says_so_to_those_who_receive_it(tmp_path: Path) -> None:
    async with buses(tmp_path / "trace", ratio=0.0) as (peer, agent), agent.observe(Note) as notes:
        await peer.publish(Note(text="by the way"), to=AGENT, conversation_id=(conversation := new_id()))
        note = await anext(notes)
    assert note.traceparent is not None
    assert note.traceparent[3:35] == conversation.replace("-", "")
    assert note.traceparent.endswith("-00")
    assert not (tmp_path / "trace").exists() or not (tmp_path / "trace").read_text()
