"""Inbox, commit, ack, then work: what becomes of a message, whatever its handler and the network do."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from agents.at_work import AGENT, CATALOGUE, Answer, Note, Question, Workplace, eventually, workplace
from agents.scripted import Scripted
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.bus.clock import VirtualClock
from interlock.bus.store.records import Repair
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.envelope import MAX_HOPS
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import new_id
from interlock.protocol.messages.task import DeadlineExceeded, InputProvided, TaskDeclined, TaskFailed, TaskProgress


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


async def test_what_a_handler_returns_is_sent_in_the_conversation(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        conversation = new_id()
        asked = await place.say(Question(text="hello"), conversation_id=conversation)
        (answer,) = await place.until(lambda: place.told)
        assert answer.payload == Answer(text="hello")
        assert (answer.sender, answer.conversation_id, answer.causation_id) == (AGENT, conversation, asked)
        assert answer.hops == 1


async def test_several_messages_are_sent_in_their_order_and_none_is_fine(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        await place.say(Question(text="nothing"))
        await place.say(Question(text="several"))
        await place.until(lambda: len(place.told) == 2)
        assert place.answers == [Answer(text="one"), Answer(text="two")]
        assert len({envelope.id for envelope in place.told}) == 2


async def test_a_transient_error_is_retried_until_it_passes(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        await place.say(Question(text="flaky"))
        await place.until(lambda: place.told)
        assert place.answers == [Answer(text="flaky")]
        assert scripted.attempts["flaky"] == 3


@pytest.mark.parametrize(
    ("text", "attempts", "failure"),
    [
        ("transient", 8, TaskFailed(code="attempts_exhausted", reason="never", retryable=True)),
        ("permanent", 1, TaskFailed(code="failed", reason="no such shelf[2J")),
        ("status", 1, TaskFailed(code="failed", reason="HttpError")),
        ("unknown", 1, TaskFailed(code="unknown_outcome", reason="the line broke", outcome="unknown")),
        (
            "defect",
            3,
            TaskFailed(code="attempts_exhausted", reason="a defect of the handler: KeyError", retryable=True),
        ),
    ],
)
async def test_what_cannot_be_done_is_answered_and_kept_among_the_dead(
    scripted: Scripted, tmp_path: Path, text: str, attempts: int, failure: TaskFailed
) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running() as (_, store):
        asked = await place.say(Question(text=text))
        await place.until(lambda: place.told)
        assert place.answers == [failure]
        assert scripted.attempts[text] == attempts
        (dead,) = await store.dead()
        assert (dead.message.message_id, len(dead.errors)) == (asked, attempts)


async def test_an_answer_that_the_catalogue_does_not_allow_fails_the_request(
    scripted: Scripted, tmp_path: Path
) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        await place.say(Question(text="wrong-route"))
        (answer,) = await place.until(lambda: place.answers)
        assert isinstance(answer, TaskFailed)
        assert "may not send note" in answer.reason


async def test_a_dead_request_that_is_revived_can_still_be_answered(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running() as (runtime, store):
        await place.say(Question(text="defect"))
        await place.until(lambda: place.told)
        scripted.repaired = True
        (dead,) = await store.dead()
        await store.revive(dead.seq, Repair(by="dana"))
        await place.until(lambda: len(place.told) == 2)
        assert place.answers[1] == Answer(text="defect")
        assert not runtime.is_stopping


async def test_a_conversation_is_worked_on_in_order_and_one_at_a_time(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        conversation = new_id()
        for number in range(5):
            await place.say(Question(text=f"flaky:{number}"), conversation_id=conversation)
        await place.until(lambda: len(place.told) == 5)
        assert place.answers == [Answer(text=f"flaky:{number}") for number in range(5)]


async def test_other_conversations_go_on_meanwhile(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        held = new_id()
        for number in range(3):
            await place.say(Question(text=f"waits:{number}"), conversation_id=held)
            await place.say(Question(text=f"waits:other{number}"))
        await eventually(lambda: scripted.running == 4)
        await place.say(Question(text="quick"))
        await place.until(lambda: place.told)
        assert place.answers == [Answer(text="quick")]
        assert scripted.most == 4
        scripted.go_on.set()
        await place.until(lambda: len(place.told) == 7)


async def test_a_message_that_is_delivered_ten_times_is_handled_once(scripted: Scripted, tmp_path: Path) -> None:
    clock = VirtualClock()
    async with workplace(scripted.agent, tmp_path, clock=clock) as place, place.running():
        asked = new_id()
        for _ in range(10):
            await place.say(Question(text="hello"), id=asked)
        await place.say(Note(text="last"))
        await eventually(lambda: "last" in scripted.seen and bool(place.told))
        assert scripted.attempts["hello"] == 1
        assert len(place.told) == 1


async def test_a_request_without_a_handler_is_declined(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        await place.say(InputProvided(answers={"a": "b"}))
        await place.say(TaskProgress(step="nobody-cares"))
        (answer,) = await place.until(lambda: place.answers)
        assert isinstance(answer, TaskDeclined)
        assert answer.code == "not_handled"


async def test_a_request_that_is_found_after_its_deadline_is_answered_once_and_not_worked_on(
    scripted: Scripted, tmp_path: Path
) -> None:
    clock = VirtualClock()
    async with workplace(scripted.agent, tmp_path, clock=clock) as place:
        deadline = clock.now() + timedelta(seconds=10)
        asked = await place.say(Question(text="late"), deadline=deadline)
        in_time = await place.say(Question(text="in time"), deadline=deadline + timedelta(seconds=1))
        await clock.advance(11)
        async with place.running():
            await place.until(lambda: len(place.told) == 2)
        late = next(envelope for envelope in place.told if envelope.causation_id == asked)
        assert late.payload == DeadlineExceeded(request_id=asked, request_type="question", deadline=deadline)
        assert next(e for e in place.told if e.causation_id == in_time).payload == Answer(text="in time")
        assert scripted.seen == ["in time"]


async def test_progress_is_told_once_however_often_the_handler_is_tried(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        await place.say(Question(text="progress"))
        await place.until(lambda: len(place.told) == 2)
        assert place.answers == [TaskProgress(step="half", percent=50), Answer(text="progress")]
        assert scripted.attempts["progress"] == 3


async def test_answers_to_answers_end_before_they_become_a_loop(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running():
        await place.say(Question(text="hello"), hops=MAX_HOPS)
        (answer,) = await place.until(lambda: place.told)
        assert isinstance(answer.payload, TaskFailed)
        assert answer.hops == MAX_HOPS


async def test_a_message_that_ended_its_process_every_time_is_not_tried_for_ever(
    scripted: Scripted, tmp_path: Path
) -> None:
    async with workplace(scripted.agent, tmp_path) as place:
        await place.say(Question(text="deadly"))
        store = await place.open_store()
        await _take_in(scripted.agent, place, store, settings=RuntimeSettings(concurrency=0))
        for _ in range(8):
            assert await store.claim(limit=1, lease=1.0)
            await store.aclose()
            store = await place.open_store()
        await store.aclose()
        async with place.running():
            (failure,) = await place.until(lambda: place.answers)
        assert isinstance(failure, TaskFailed)
        assert "not tried again" in failure.reason
        assert scripted.seen == []


async def _take_in(agent: Agent, place: Workplace, store: SqliteStore, *, settings: RuntimeSettings) -> None:
    """Let an agent that works on nothing take in what there is."""
    transport = place.broker.connect(agent.name)
    runtime = Runtime(agent, transport=transport, store=store, clock=place.clock, settings=settings)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(runtime.run)
        with anyio.fail_after(5):
            while not (await store.counts()).ready:
                await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


async def test_the_lease_of_a_long_handler_is_renewed(scripted: Scripted, tmp_path: Path) -> None:
    settings = RuntimeSettings(lease=0.15)
    async with workplace(scripted.agent, tmp_path, settings=settings) as place, place.running() as (_, store):
        await place.say(Question(text="waits"))
        await eventually(lambda: scripted.running == 1)
        begun = place.clock.monotonic()
        await eventually(lambda: place.clock.monotonic() - begun > 0.5)
        assert not await store.claim(limit=1, lease=1.0)
        scripted.go_on.set()
        await place.until(lambda: place.told)
        assert scripted.attempts["waits"] == 1


class Suspending(VirtualClock):
    """Time that also goes on while the process is stopped, with nobody awake to notice."""

    def jump(self, seconds: float) -> None:
        self._elapsed += seconds


async def test_a_handler_whose_lease_was_lost_writes_nothing(scripted: Scripted, tmp_path: Path) -> None:
    clock = Suspending()
    async with workplace(scripted.agent, tmp_path, clock=clock) as place, place.running() as (_, store):
        await place.say(Question(text="waits"))
        await eventually(lambda: scripted.running == 1)
        clock.jump(31.0)
        (claim,) = await store.claim(limit=1, lease=30.0)
        assert claim.attempt == 2
        scripted.go_on.set()
        await eventually(lambda: scripted.running == 0)
        assert place.told == []
        await store.release(claim)
        with anyio.fail_after(5):
            while not place.told:
                await clock.advance(1.0)
        assert place.answers == [Answer(text="waits")]


async def test_a_usage_error_is_no_reason_to_try_again(tmp_path: Path) -> None:
    agent = Agent(AGENT, catalogue=CATALOGUE)

    @agent.on
    async def wrong(_: Question, __: Context) -> None:
        raise UsageError("called wrongly")

    async with workplace(agent, tmp_path) as place, place.running() as (_, store):
        await place.say(Question(text="hello"))
        (answer,) = await place.until(lambda: place.answers)
        assert answer == TaskFailed(code="failed", reason="called wrongly")
        assert len(await store.dead()) == 1
