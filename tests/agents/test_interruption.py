"""Requests that end before their handlers do: cancelled by whoever asked, or over their time."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agents import at_work
from agents.at_work import AGENT, PEER, Answer, Question, Workplace, eventually, workplace
from interlock.agents.agent import Agent
from interlock.agents.attempt import Attempts
from interlock.agents.context import Context, operation
from interlock.agents.patience import Patience
from interlock.agents.runtime import RuntimeSettings
from interlock.bus.clock import Clock, SystemClock, VirtualClock
from interlock.bus.store.port import Store
from interlock.bus.store.records import EffectState, InboxMessage
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.transport import Outgoing
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import TransientError
from interlock.protocol.ids import new_id
from interlock.protocol.message import ANY, Effect, Message, Request, Route
from interlock.protocol.messages.task import DeadlineExceeded, TaskCancelled, TaskFailed
from interlock.protocol.values import ShortText


class Order(
    Request, type="order", route=Route.of(ANY, ANY), replies=(Answer,), effect=Effect.REVERSIBLE, deadline=600.0
):
    """Asks for something to be changed."""

    text: ShortText


CATALOGUE = at_work.CATALOGUE.with_messages(Order)


class Workshop:
    """An agent that works until it may go on, and remembers what became of that."""

    def __init__(self) -> None:
        self.agent = Agent(AGENT, catalogue=CATALOGUE)
        self.agent.on(self.think)
        self.agent.on(self.change)
        self.begun: list[str] = []
        self.cleaned: list[str] = []
        self.go_on = anyio.Event()
        self.changing = anyio.Event()

    async def think(self, question: Question, _: Context) -> Answer:
        self.begun.append(question.text)
        try:
            await self.go_on.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                self.cleaned.append(question.text)
        return Answer(text=question.text)

    async def change(self, order: Order, context: Context) -> Answer:
        self.begun.append(order.text)
        if order.text == "fails":
            raise TransientError("not yet")
        await context.once("first", self._first)
        await context.once("second", self._second)
        return Answer(text=order.text)

    async def _first(self) -> str:
        return "done"

    async def _second(self) -> str:
        self.changing.set()
        await self.go_on.wait()
        return "done"


@pytest.fixture
def shop() -> Workshop:
    return Workshop()


async def test_a_running_handler_is_cancelled_by_whoever_asked(shop: Workshop, tmp_path: Path) -> None:
    async with workplace(shop.agent, tmp_path) as place, place.running() as (_, store):
        asked = await place.say(Question(text="q"))
        await eventually(lambda: shop.begun == ["q"])
        await place.say(TaskCancelled(reason="too dear"), conversation_id=asked, causation_id=asked)
        (told,) = await place.until(lambda: place.told)
        assert (told.payload, told.causation_id) == (TaskCancelled(reason="too dear"), asked)
        assert shop.cleaned == ["q"]
        shop.go_on.set()
        await place.say(Question(text="next"), conversation_id=asked)
        await place.until(lambda: len(place.told) == 2)
        assert place.answers[1:] == [Answer(text="next")]
        assert (await store.counts()).dead == 0


async def test_a_queued_request_that_is_cancelled_never_begins(shop: Workshop, tmp_path: Path) -> None:
    async with workplace(shop.agent, tmp_path) as place, place.running():
        conversation = new_id()
        await place.say(Question(text="first"), conversation_id=conversation)
        await eventually(lambda: shop.begun == ["first"])
        second = await place.say(Question(text="second"), conversation_id=conversation)
        await place.say(TaskCancelled(reason="enough"), conversation_id=conversation, causation_id=second)
        await place.say(Question(text="third"), conversation_id=conversation)
        shop.go_on.set()
        await place.until(lambda: len(place.told) == 3)
        assert place.answers == [Answer(text="first"), TaskCancelled(reason="enough"), Answer(text="third")]
        assert shop.begun == ["first", "third"]


async def test_nobody_else_cancels_and_nothing_else_is_cancelled(shop: Workshop, tmp_path: Path) -> None:
    async with workplace(shop.agent, tmp_path) as place, place.running():
        asked = await place.say(Question(text="q"))
        await eventually(lambda: shop.begun == ["q"])
        stranger = await said_by("stranger-agent", place, conversation_id=asked, causation_id=asked)
        await place.say(TaskCancelled(reason="mistaken"), conversation_id=asked, causation_id=stranger)
        await place.say(TaskCancelled(reason="elsewhere"), conversation_id=new_id(), causation_id=asked)
        marker = await place.say(Question(text="marker"))
        await eventually(lambda: "marker" in shop.begun)
        shop.go_on.set()
        await place.until(lambda: len(place.told) == 2)
        assert {envelope.causation_id: envelope.payload for envelope in place.told} == {
            asked: Answer(text="q"),
            marker: Answer(text="marker"),
        }


async def test_an_effect_that_was_interrupted_is_unknown_and_said_so(shop: Workshop, tmp_path: Path) -> None:
    async with workplace(shop.agent, tmp_path) as place, place.running() as (_, store):
        asked = await place.say(Order(text="o"))
        await shop.changing.wait()
        await place.say(TaskCancelled(reason="stop"), conversation_id=asked, causation_id=asked)
        (told,) = await place.until(lambda: place.told)
        failure = told.payload
        assert isinstance(failure, TaskFailed)
        assert (failure.code, failure.outcome, failure.side_effects) == ("cancelled", "unknown", ("first", "second"))
        assert await ledger(store, told, "first") is EffectState.DONE
        assert await ledger(store, told, "second") is EffectState.UNKNOWN
        (dead,) = await store.dead()
        assert dead.message.message_id == asked


async def test_a_cancellation_outlives_the_process_that_took_it_in(shop: Workshop, tmp_path: Path) -> None:
    async with workplace(shop.agent, tmp_path) as place:
        store = await place.open_store()
        asked = question("q", clock=place.clock)
        for envelope in (asked, cancellation(asked, clock=place.clock)):
            await store.receive(row(envelope))
        # Claimed, and then the process is gone.
        await store.claim(limit=1, lease=30.0)
        await store.aclose()
        async with place.running():
            (told,) = await place.until(lambda: place.told)
        assert (told.payload, shop.begun) == (TaskCancelled(reason="not wanted"), [])


async def test_what_earlier_attempts_have_changed_is_told_when_a_later_one_gives_up(
    shop: Workshop, tmp_path: Path
) -> None:
    clock = VirtualClock()
    store = await SqliteStore.open(tmp_path / "agent.sqlite", agent=AGENT, clock=clock)
    sent_at = clock.now() + timedelta(seconds=1)
    asked: Envelope[Message] = Envelope.wrap(Order(text="fails"), sender=PEER, receiver=AGENT, sent_at=sent_at)
    await store.begin_effect(operation(asked, "of a message before"), request_hash="r", fence=1)
    await clock.advance(1.0)
    await store.receive(row(asked))
    (claim,) = await store.claim(limit=1, lease=30.0)
    for key in ("first", "second", "refused"):
        await store.begin_effect(operation(asked, key), request_hash="r", fence=claim.fence)
    await store.settle_effect(operation(asked, "first"), state=EffectState.DONE, result="1", fence=claim.fence)
    await store.settle_effect(operation(asked, "refused"), state=EffectState.FAILED, result="no", fence=claim.fence)
    # Then the process is gone, and its lease runs out.
    await clock.advance(31.0)
    (claim,) = await store.claim(limit=1, lease=30.0)
    await attempts_of(shop.agent, store, clock, RuntimeSettings(max_attempts=2)).make(claim)
    (failed,) = await store.unsent(limit=9)
    failure = decode(failed.body, catalogue=CATALOGUE).payload
    assert isinstance(failure, TaskFailed)
    assert (failure.code, failure.outcome) == ("attempts_exhausted", "unknown")
    assert failure.side_effects == ("first", "second")
    await store.aclose()


async def test_a_cancellation_that_another_replica_took_in_reaches_the_handler(shop: Workshop, tmp_path: Path) -> None:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(tmp_path / "agent.sqlite", agent=AGENT, clock=clock)
        stack.push_async_callback(store.aclose)
        attempts = attempts_of(shop.agent, store, clock)
        asked = question("q", clock=clock)
        await store.receive(row(asked))
        (claim,) = await store.claim(limit=1, lease=30.0)
        assert not claim.followed
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attempts.make, claim)
            await eventually(lambda: shop.begun == ["q"])
            await attempts.look()
            assert shop.cleaned == []
            await store.receive(row(cancellation(asked, clock=clock)))
            await attempts.look()
        assert shop.cleaned == ["q"]
        assert [message.type for message in await store.unsent(limit=9)] == ["task_cancelled"]


async def test_what_only_reads_ends_with_its_deadline(shop: Workshop, tmp_path: Path) -> None:
    clock = VirtualClock()
    async with workplace(shop.agent, tmp_path, clock=clock) as place, place.running() as (_, store):
        deadline = clock.now() + timedelta(seconds=20)
        asked = await place.say(Question(text="q"), deadline=deadline)
        await eventually(lambda: shop.begun == ["q"])
        await pass_time(clock, store, 20.0)
        assert shop.cleaned == []
        await pass_time(clock, store, 2.0)
        (told,) = await place.until(lambda: place.told)
        assert told.payload == DeadlineExceeded(request_id=asked, request_type="question", deadline=deadline)
        assert shop.cleaned == ["q"]


async def test_what_changes_things_has_a_grace_to_finish(shop: Workshop, tmp_path: Path) -> None:
    clock = VirtualClock()
    settings = RuntimeSettings(grace=30.0)
    async with workplace(shop.agent, tmp_path, clock=clock, settings=settings) as place, place.running() as (_, store):
        await place.say(Order(text="o"), deadline=clock.now() + timedelta(seconds=20))
        await shop.changing.wait()
        await pass_time(clock, store, 45.0)
        assert place.told == []
        await pass_time(clock, store, 7.0)
        (told,) = await place.until(lambda: place.told)
        assert isinstance(told.payload, TaskFailed)
        assert (told.payload.code, told.payload.outcome) == ("deadline_exceeded", "unknown")


async def test_no_attempt_is_made_after_deadline_and_grace(shop: Workshop, tmp_path: Path) -> None:
    clock = VirtualClock()
    settings = RuntimeSettings(grace=5.0, first_retry=8.0, last_retry=100.0, max_attempts=100)
    async with workplace(shop.agent, tmp_path, clock=clock, settings=settings) as place, place.running() as (_, store):
        await place.say(Order(text="fails"), deadline=clock.now() + timedelta(seconds=20))
        await eventually(lambda: shop.begun == ["fails"])
        await pass_time(clock, store, 26.0)
        (told,) = await place.until(lambda: place.told)
        assert isinstance(told.payload, TaskFailed)
        assert (told.payload.code, told.payload.outcome) == ("deadline_exceeded", "failed")


async def pass_time(clock: VirtualClock, store: Store, seconds: float) -> None:
    """Advance in small steps; after each the store has done what it was asked by then, such as renewing leases."""
    for _ in range(int(seconds * 2)):
        await clock.advance(0.5)
        await store.counts()


def _nothing() -> None:
    """Let threads run."""


def question(text: str, *, clock: Clock) -> Envelope[Message]:
    return Envelope.wrap(Question(text=text), sender=PEER, receiver=AGENT, sent_at=clock.now())


def cancellation(request: Envelope[Message], *, clock: Clock) -> Envelope[Message]:
    return Envelope.wrap(
        TaskCancelled(reason="not wanted"),
        sender=request.sender,
        receiver=AGENT,
        sent_at=clock.now(),
        conversation_id=request.conversation_id,
        causation_id=request.id,
    )


def row(envelope: Envelope[Message]) -> InboxMessage:
    return InboxMessage(
        envelope.id, envelope.sender, envelope.type, envelope.conversation_id, encode(envelope), envelope.sent_at
    )


def attempts_of(
    agent: Agent,
    store: Store,
    clock: Clock,
    settings: RuntimeSettings = RuntimeSettings(),  # noqa: B008 - frozen
) -> Attempts:
    return Attempts(
        agent,
        store=store,
        clock=clock,
        patience=Patience(clock, longest=0.0),
        settings=settings,
        written=lambda _: None,
        rescheduled=_nothing,
    )


async def ledger(store: Store, told: Envelope[Message], key: str) -> EffectState:
    """Return what the store knows of an effect."""
    digest = "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"  # of no request: JSON's null
    effect, new = await store.begin_effect(operation(told, key), request_hash=digest, fence=10**6)
    assert not new
    return effect.state


async def said_by(sender: str, place: Workplace, *, conversation_id: str, causation_id: str) -> str:
    """Have somebody else ask for the cancellation; returns the id of that message."""
    envelope = Envelope.wrap(
        TaskCancelled(reason="spite"),
        sender=sender,
        receiver=AGENT,
        sent_at=place.clock.now(),
        conversation_id=conversation_id,
        causation_id=causation_id,
    )
    await place.broker.connect(sender).publish(Outgoing.of(envelope))
    return envelope.id
