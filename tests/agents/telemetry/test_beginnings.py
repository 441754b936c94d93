"""Where a trace begins is asked of the store for few messages, and those keep their order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, cast

import anyio
import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor

from agents.at_work import AGENT, PEER, Question, eventually
from interlock.agents.patience import Patience
from interlock.agents.telemetry.beginnings import Beginnings
from interlock.agents.telemetry.late_spans import LateSpans
from interlock.bus.clock import VirtualClock
from interlock.bus.store.port import Store
from interlock.bus.store.records import WorkflowRow
from interlock.bus.telemetry import Telemetry
from interlock.bus.tracing import Tracing
from interlock.bus.transport import Delivery
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message

CONVERSATION = new_id()
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@dataclass
class Workflows:
    """A store, as far as it is asked; it answers when it is told to."""

    asked: list[str] = field(default_factory=list[str])
    answers: anyio.Event = field(default_factory=anyio.Event)

    async def workflow(self, id: str) -> WorkflowRow | None:  # noqa: A002 - the port's word
        self.asked.append(id)
        await self.answers.wait()
        return None


@dataclass
class Arrived:
    """A delivery, as far as it is asked."""

    attempt: int = 1


def beginnings(store: Workflows, *, tracing: Literal["kept", "left out", "off"] = "kept") -> Beginnings:
    clock = VirtualClock()
    spans = LateSpans(SpanProcessor(), resource=Resource({}), scope="interlock", clock=clock)
    traced = None if tracing == "off" else Tracing(spans, sampled=lambda _: tracing == "kept")
    telemetry = Telemetry(AGENT, clock=clock, tracing=traced)
    return Beginnings(cast("Store", store), patience=Patience(clock, longest=1.0), telemetry=telemetry)


def arrival(*, traceparent: str | None = None, causation_id: str | None = None) -> Envelope[Message]:
    return Envelope.wrap(
        Question(text="hello"),
        sender=PEER,
        receiver=AGENT,
        sent_at=VirtualClock().now(),
        conversation_id=CONVERSATION,
        traceparent=traceparent,
        causation_id=causation_id,
    )


def delivered(attempt: int = 1) -> Delivery:
    return cast("Delivery", Arrived(attempt))


async def test_a_message_without_context_or_cause_begins_a_trace() -> None:
    store = Workflows()
    store.answers.set()

    assert await beginnings(store).at(delivered(), arrival())
    assert store.asked == [CONVERSATION]


@pytest.mark.parametrize(
    ("envelope", "attempt", "tracing"),
    [
        (arrival(traceparent=TRACEPARENT), 1, "kept"),
        (arrival(causation_id=new_id()), 1, "kept"),
        (arrival(), 2, "kept"),
        (arrival(), 1, "left out"),
        (arrival(), 1, "off"),
    ],
)
async def test_nobody_is_asked_about_the_others(
    envelope: Envelope[Message], attempt: int, tracing: Literal["kept", "left out", "off"]
) -> None:
    store = Workflows()

    assert not await beginnings(store, tracing=tracing).at(delivered(attempt), envelope)
    assert store.asked == []


async def test_what_follows_one_that_is_asked_about_does_not_overtake_it() -> None:
    store, passed = Workflows(), list[str]()
    asking = beginnings(store)

    async def take(name: str, envelope: Envelope[Message]) -> None:
        await asking.at(delivered(), envelope)
        passed.append(name)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take, "first", arrival())
        await eventually(lambda: len(store.asked) == 1)
        tasks.start_soon(take, "second", arrival(traceparent=TRACEPARENT))
        await eventually(lambda: len(store.asked) == 2)
        assert passed == []
        store.answers.set()

    assert passed == ["first", "second"]
    assert not await asking.at(delivered(), arrival(traceparent=TRACEPARENT))
    assert len(store.asked) == 2, "nobody is in front any more"
