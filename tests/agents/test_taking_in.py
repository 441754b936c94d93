"""What comes in is begun with the commit that takes it in; nothing is lost, doubled or forgotten when that goes wrong.

The clock stands still wherever it can, so that nobody finds by looking around what he should have been told.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agents.at_work import AGENT, PEER, Answer, Question, Workplace, eventually, workplace
from agents.scripted import Scripted
from interlock.agents.intake import Intake
from interlock.agents.patience import Patience
from interlock.agents.runtime import Runtime
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.bus.clock import VirtualClock
from interlock.bus.store.records import InboxMessage, Receipt, Taken
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.store.writer import StoreUnavailableError
from interlock.bus.transport import Delivery, routing_key
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message

SETTINGS = RuntimeSettings(heartbeat=1e6)


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


class Brake:
    """Holds the store's thread up before the next commit, from when it is told to until it is let go."""

    def __init__(self) -> None:
        self.holds = False
        self.reached = False
        self._go_on = threading.Event()

    def reach(self, moment: str) -> None:
        if self.holds and moment == "before_commit":
            self.holds, self.reached = False, True
            assert self._go_on.wait(5)

    def let_go(self) -> None:
        self._go_on.set()


class AwayStore(SqliteStore):
    """Cannot take in what comes, a number of times."""

    refusals = 0

    async def take_in(self, messages: Sequence[InboxMessage], *, limit: int, lease: float) -> Taken:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailableError("the store cannot be used: database is locked; nothing was written, try again")
        return await super().take_in(messages, limit=limit, lease=lease)


def runtime_of(scripted: Scripted, place: Workplace, store: SqliteStore) -> Runtime:
    return Runtime(
        scripted.agent, transport=place.broker.connect(AGENT), store=store, clock=place.clock, settings=SETTINGS
    )


async def braked(directory: Path, clock: VirtualClock, brake: Brake) -> SqliteStore:
    return await SqliteStore.open(directory / "agent.sqlite", agent=AGENT, clock=clock, fail_point=brake.reach)


async def started(runtime: Runtime, tasks: anyio.abc.TaskGroup, store: SqliteStore) -> None:
    """Return when the agent takes in and the store has nothing more to do."""
    tasks.start_soon(runtime.run)
    await eventually(lambda: runtime.is_taking)
    with anyio.fail_after(5):
        while True:
            before = store.statistics().operations
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            await store.rejections()
            if store.statistics().operations == before + 1:  # nobody else has asked for anything
                return


async def test_what_comes_for_a_busy_conversation_is_begun_at_its_end(
    scripted: Scripted, clock: VirtualClock, tmp_path: Path
) -> None:
    conversation = new_id()
    async with workplace(scripted.agent, tmp_path, clock=clock, settings=SETTINGS) as place, place.running():
        await place.say(Question(text="waits"), conversation_id=conversation)
        await eventually(lambda: scripted.running == 1)
        for text in ("second", "third"):
            await place.say(Question(text=text), conversation_id=conversation)
        await place.say(Question(text="elsewhere"))
        await place.until(lambda: place.answers == [Answer(text="elsewhere")])
        scripted.go_on.set()
        await place.until(lambda: len(place.answers) == 4)
    assert scripted.seen == ["waits", "elsewhere", "second", "third"]


async def test_what_another_process_wrote_for_a_busy_conversation_is_begun_at_its_end(
    scripted: Scripted, clock: VirtualClock, tmp_path: Path
) -> None:
    conversation = new_id()
    async with (
        workplace(scripted.agent, tmp_path, clock=clock, settings=SETTINGS) as place,
        place.running() as (runtime, store),
    ):
        await place.say(Question(text="waits"), conversation_id=conversation)
        await eventually(lambda: scripted.running == 1)
        asked = question("after it", clock, conversation_id=conversation)
        await store.receive(row(asked))
        runtime.wake()  # as when the store's other replicas tell of something new
        await store.rejections()
        for _ in range(20):  # the claim that this brings about finds nothing that may be begun
            await anyio.lowlevel.checkpoint()
        scripted.go_on.set()
        await place.until(lambda: len(place.answers) == 2)
    assert scripted.seen == ["waits", "after it"]


async def test_what_came_while_the_store_was_away_is_worked_on_when_it_is_back(
    scripted: Scripted, clock: VirtualClock, tmp_path: Path
) -> None:
    async with (
        workplace(scripted.agent, tmp_path, clock=clock, settings=SETTINGS) as place,
        aclosing(await AwayStore.open(tmp_path / "agent.sqlite", agent=AGENT, clock=clock)) as store,
    ):
        runtime = runtime_of(scripted, place, store)
        async with anyio.create_task_group() as tasks:
            await started(runtime, tasks, store)
            store.refusals = 3
            for number in range(5):
                await place.say(Question(text=str(number)))
            await eventually(lambda: store.refusals < 3)
            assert scripted.seen == []
            with anyio.fail_after(5):
                while len(place.answers) < 5:
                    await clock.advance(0.1)
            runtime.stop()
    assert sorted(scripted.seen) == [str(number) for number in range(5)]


async def test_cancelled_while_the_store_takes_it_in_a_message_is_handled_once_by_the_next_run(
    scripted: Scripted, clock: VirtualClock, tmp_path: Path
) -> None:
    brake = Brake()
    async with workplace(scripted.agent, tmp_path, clock=clock, settings=SETTINGS) as place:
        async with aclosing(await braked(tmp_path, clock, brake)) as store:
            async with anyio.create_task_group() as tasks:
                await started(runtime_of(scripted, place, store), tasks, store)
                brake.holds = True
                await place.say(Question(text="hello"))
                await eventually(lambda: brake.reached)
                tasks.cancel_scope.cancel()
                brake.let_go()
            assert scripted.seen == []
        async with place.running():
            await place.until(lambda: place.answers)
    assert place.answers == [Answer(text="hello")]
    assert scripted.seen == ["hello"]


async def test_stopped_while_the_store_takes_it_in_a_message_is_still_answered(
    scripted: Scripted, clock: VirtualClock, tmp_path: Path
) -> None:
    brake = Brake()
    async with (
        workplace(scripted.agent, tmp_path, clock=clock, settings=SETTINGS) as place,
        aclosing(await braked(tmp_path, clock, brake)) as store,
    ):
        runtime = runtime_of(scripted, place, store)
        async with anyio.create_task_group() as tasks:
            await started(runtime, tasks, store)
            brake.holds = True
            await place.say(Question(text="hello"))
            await eventually(lambda: brake.reached)
            runtime.stop()
            await place.say(Question(text="too late"))
            brake.let_go()
            await place.until(lambda: place.answers)
        counts = await store.counts()
    assert (counts.ready, counts.leased, counts.unsent) == (0, 0, 0)
    assert scripted.seen == ["hello"]


async def test_the_shielded_end_of_a_handler_is_waited_for_when_its_agent_is_cancelled(
    clock: VirtualClock, tmp_path: Path
) -> None:
    scripted, ended = Scripted(), anyio.Event()

    class Tidy(Scripted):
        async def answer(self, question: Question, context: Any) -> Any:
            try:
                return await super().answer(question, context)
            finally:
                with anyio.CancelScope(shield=True):
                    for _ in range(10):
                        await anyio.lowlevel.checkpoint()
                    ended.set()

    scripted = Tidy()
    async with (
        workplace(scripted.agent, tmp_path, clock=clock, settings=SETTINGS) as place,
        aclosing(await place.open_store()) as store,
    ):
        async with anyio.create_task_group() as tasks:
            await started(runtime_of(scripted, place, store), tasks, store)
            await place.say(Question(text="waits"))
            await eventually(lambda: scripted.running == 1)
            tasks.cancel_scope.cancel()
        assert ended.is_set()
        (claim,) = await store.claim(limit=1, lease=1.0)
        assert claim.attempt == 1, "it was given back"


class Arriving:
    """A delivery of a question that counts how it ends."""

    def __init__(self, envelope: Envelope[Message]) -> None:
        self.body = encode(envelope)
        self.routing_key = routing_key(envelope.receiver, envelope.type)
        self.sender: str | None = envelope.sender
        self.content_type: str | None = "application/json"
        self.reply_to: str | None = None
        self.attempt = 1
        self.acks = 0

    async def ack(self) -> None:
        self.acks += 1

    async def reject(self) -> None:
        raise AssertionError("nothing is wrong with it")

    async def requeue(self) -> None:
        raise AssertionError("nothing is wrong with it")


async def test_whatever_arrives_while_taking_in_fails_begins_nothing_and_hides_nothing(
    scripted: Scripted, clock: VirtualClock, tmp_path: Path
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    given: list[Arriving] = []

    async def deliveries() -> AsyncIterator[Delivery]:
        while True:
            given.append(Arriving(question(str(len(given)), clock)))
            yield given[-1]
            if not len(given) % 3:
                await anyio.lowlevel.checkpoint()

    async def take_in(_: Sequence[InboxMessage]) -> Sequence[Receipt]:
        await anyio.lowlevel.checkpoint()
        raise StoreUnavailableError("the store cannot be used: it is closed; open it again")

    async with aclosing(await SqliteStore.open(tmp_path / "agent.sqlite", agent=AGENT, clock=clock)) as store:
        intake = Intake(scripted.agent, store=store, clock=clock, patience=Patience(clock, longest=0.0), batch=7)
        with pytest.raises(ExceptionGroup) as failed:
            await intake.run(deliveries(), take_in=take_in, stored=lambda _: None, told=lambda: None)
        await anyio.lowlevel.checkpoint()
    assert failed.group_contains(StoreUnavailableError)
    assert not failed.group_contains(RuntimeError)
    assert complaints == []
    assert len(given) > 1
    assert not any(delivery.acks for delivery in given)


@pytest.mark.parametrize("earlier", [True, False])
async def test_cancelled_with_something_just_arrived_the_intake_ends_quietly(
    scripted: Scripted, clock: VirtualClock, tmp_path: Path, *, earlier: bool
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    given = Arriving(question("just now", clock))

    async def take_in(messages: Sequence[InboxMessage]) -> Sequence[Receipt]:
        await anyio.sleep_forever()
        return [Receipt.NEW] * len(messages)

    async with aclosing(await SqliteStore.open(tmp_path / "agent.sqlite", agent=AGENT, clock=clock)) as store:
        intake = Intake(scripted.agent, store=store, clock=clock, patience=Patience(clock, longest=0.0))
        with anyio.CancelScope() as scope:

            async def deliveries() -> AsyncIterator[Delivery]:
                if earlier:
                    scope.cancel()
                yield given
                scope.cancel()
                await anyio.sleep_forever()

            await intake.run(deliveries(), take_in=take_in, stored=lambda _: None, told=lambda: None)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert complaints == []
    assert given.acks == 0


def question(text: str, clock: VirtualClock, *, conversation_id: str | None = None) -> Envelope[Message]:
    return Envelope.wrap(
        Question(text=text), sender=PEER, receiver=AGENT, sent_at=clock.now(), conversation_id=conversation_id
    )


def row(envelope: Envelope[Message]) -> InboxMessage:
    return InboxMessage(
        envelope.id, envelope.sender, envelope.type, envelope.conversation_id, encode(envelope), envelope.sent_at
    )
