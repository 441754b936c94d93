"""An agent that runs is asked about its dead letters and ordered to repair them, over the bus and on record."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Question, Workplace, eventually, workplace
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.bus.bus import Bus
from interlock.bus.store.audit import verify_chain
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.errors import PermanentError, TransientError
from interlock.protocol.ids import new_id
from interlock.protocol.message import ANY, Effect, Message, Request, Route
from interlock.protocol.messages.repair import (
    DeadLetter,
    DeadLettersReport,
    DeadLettersRequest,
    DeadLetterState,
    LetterOutcome,
    RepairAction,
    RepairOutcome,
    RepairRequest,
    RepairResult,
)
from interlock.protocol.messages.task import MessageRejected, TaskDeclined
from interlock.protocol.roles import CONSOLE
from interlock.protocol.values import ShortText


class Novelty(Request, type="novelty", route=Route.of(PEER, AGENT), replies=(Answer,), deadline=600.0):
    """A message that only a later release of the agent knows."""

    text: ShortText


class Demolition(
    Request,
    type="demolition",
    route=Route.of(PEER, AGENT),
    replies=(Answer,),
    deadline=600.0,
    effect=Effect.DESTRUCTIVE,
):
    """Something that is agreed on before it is ordered."""

    text: ShortText


class Library:
    """An agent that cannot read, until it is repaired."""

    def __init__(self) -> None:
        self.agent = Agent(AGENT, catalogue=CATALOGUE)
        self.is_repaired = False
        self.agent.on(self.read)

    def learn(self) -> None:
        """Become the release that knows what is new."""
        self.agent.handle(Novelty, self.read)

    async def read(self, message: Question | Demolition, context: Context) -> Answer:
        if message.text == "later":
            raise TransientError("the shelf is being dusted")
        if not self.is_repaired and "mended" not in message.text:
            if "defect" in message.text:
                raise KeyError("password=hunter2")
            raise PermanentError(f"no book for {context.envelope.id}")
        return Answer(text=message.text)


class Desk:
    """The console of a test."""

    def __init__(self, place: Workplace) -> None:
        self._bus = Bus(place.broker.connect(CONSOLE), clock=place.clock, catalogue=CATALOGUE)

    async def ask(self, request: Request) -> Message:
        return await self._bus.request(request, to=AGENT, timeout=5.0)

    async def letters(self, **members: object) -> tuple[DeadLetter, ...]:
        report = await self.ask(DeadLettersRequest.model_validate(members))
        assert isinstance(report, DeadLettersReport)
        return report.letters

    async def order(self, action: RepairAction, *letters: str, **members: object) -> tuple[LetterOutcome, ...]:
        order = RepairRequest.model_validate({"action": action, "letters": letters, "by": "dana", **members})
        result = await self.ask(order)
        assert isinstance(result, RepairResult)
        return result.outcomes


@pytest.fixture
def library() -> Library:
    return Library()


@asynccontextmanager
async def at_work(
    library: Library, directory: Path, *, settings: RuntimeSettings | None = None
) -> AsyncGenerator[tuple[Workplace, Desk, SqliteStore]]:
    async with workplace(library.agent, directory, settings=settings) as place, place.running() as (_, store):
        yield place, Desk(place), store


async def given_up(place: Workplace, message: Message, **members: str) -> str:
    """Have the agent give a message up; returns its id."""
    told = len(place.told)
    asked = await place.say(message, **members)  # type: ignore[arg-type]
    await place.until(lambda: len(place.told) > told)
    return asked


async def test_a_running_agent_says_what_it_has_given_up_when_and_why(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        asked = await given_up(place, Question(text="hello"))
        (letter,) = await desk.letters()
        assert (letter.name, letter.state, letter.message_id) == ("1", DeadLetterState.DEAD, asked)
        assert (letter.sender, letter.type, letter.attempts) == (PEER, "question", 1)
        assert [failure.error for failure in letter.failures] == [f"no book for {asked}"]
        assert letter.received_at is not None
        assert letter.ended_at is not None
        assert letter.body is None


async def test_what_fails_alike_reads_alike(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        for _number in range(2):
            await given_up(place, Question(text="hello"))
        assert {letter.reason for letter in await desk.letters()} == {"no book for …"}


async def test_of_an_error_that_is_not_ours_only_the_kind_travels(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, store):
        await given_up(place, Question(text="defect"))
        (letter,) = await desk.letters(name="1")
        assert letter.reason == "KeyError (its text stays in the agent's store)"
        assert "hunter2" not in letter.model_dump_json()
        assert "hunter2" in (await store.dead())[0].errors[-1]


async def test_a_message_is_shown_only_on_request(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        await given_up(place, Question(text="안녕"))
        (letter,) = await desk.letters(name="1", with_body=True)
        assert letter.body is not None
        assert letter.body.isascii()
        assert json.loads(letter.body)["payload"] == {"text": "안녕"}


async def test_a_letter_that_is_not_there_is_declined(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        await place.say(Question(text="mended"))
        await place.until(lambda: place.told)
        for name in ("1", "99", "parked:0123456789ab"):
            answer = await desk.ask(DeadLettersRequest(name=name))
            assert isinstance(answer, TaskDeclined)
            assert answer.code == "no_such_letter"


async def test_a_long_list_says_that_there_is_more(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        for _number in range(3):
            await given_up(place, Question(text="hello"))
        report = await desk.ask(DeadLettersRequest(limit=2))
        assert isinstance(report, DeadLettersReport)
        assert ([letter.name for letter in report.letters], report.more) == (["1", "2"], True)


async def test_a_dead_message_is_retried_once_its_cause_is_repaired(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, store):
        await given_up(place, Question(text="hello"))
        library.is_repaired = True
        assert await desk.order(RepairAction.RETRY, "1", reason="the shelf is filled") == (
            LetterOutcome(name="1", outcome=RepairOutcome.DONE, detail="retried"),
        )
        await place.until(lambda: len(place.told) == 2)
        assert place.answers[1] == Answer(text="hello")
        (letter,) = await desk.letters(name="1")
        assert letter.state is DeadLetterState.HANDLED
        assert [(repair.by, repair.reason) for repair in letter.repairs] == [("dana", "the shelf is filled")]
        assert verify_chain(await store.audit()) is None


async def test_a_repair_is_not_held_up_by_the_conversation_that_it_repairs(library: Library, tmp_path: Path) -> None:
    slow = RuntimeSettings(first_retry=3600.0, last_retry=3600.0)
    async with at_work(library, tmp_path, settings=slow) as (place, desk, store):
        conversation = new_id()
        await given_up(place, Question(text="hello"), conversation_id=conversation)
        await place.say(Question(text="later"), conversation_id=conversation)
        await eventually_waiting(store)
        (outcome,) = await desk.order(RepairAction.RETRY, "1")
        assert outcome.outcome is RepairOutcome.DONE


async def eventually_waiting(store: SqliteStore) -> None:
    """Wait until a message waits for its retry."""
    with anyio.fail_after(5):
        while (letter := await store.letter(2)) is None or not letter.failures:
            await anyio.lowlevel.checkpoint()


async def test_what_was_dropped_is_neither_tried_again_nor_forgotten(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, store):
        await given_up(place, Question(text="hello"))
        await desk.order(RepairAction.DROP, "1")
        assert await desk.letters() == ()
        (letter,) = await desk.letters(name="1")
        assert letter.state is DeadLetterState.DROPPED
        (refused,) = await desk.order(RepairAction.RETRY, "1")
        assert refused.outcome is RepairOutcome.REFUSED
        assert "it is dropped" in refused.detail
        assert [row.entry.action for row in await store.audit()] == ["dead_letter_dropped"]


async def test_an_edited_message_is_handled_under_an_id_of_its_own(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        asked = await given_up(place, Question(text="hello"))
        (outcome,) = await desk.order(RepairAction.EDIT, "1", payload='{"text": "mended"}')
        await place.until(lambda: len(place.told) == 2)
        assert place.told[1].payload == Answer(text="mended")
        assert place.told[1].causation_id == outcome.replacement_id != asked
        (old,) = await desk.letters(name="1")
        assert (old.state, old.repairs[0].replacement_id) == (DeadLetterState.REPLACED, outcome.replacement_id)


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        ('{"text": 7}', "payload.text: "),
        ("{}", "payload.text: "),
        ("[]", "not_an_object"),
        ("{", "not_json"),
        (None, "needs its new payload"),
    ],
)
async def test_an_edit_that_is_not_valid_changes_nothing(
    library: Library, tmp_path: Path, payload: str | None, detail: str
) -> None:
    async with at_work(library, tmp_path) as (place, desk, store):
        await given_up(place, Question(text="hello"))
        (outcome,) = await desk.order(RepairAction.EDIT, "1", payload=payload)
        assert outcome.outcome is RepairOutcome.REFUSED
        assert detail in outcome.detail
        assert [letter.state for letter in await desk.letters()] == [DeadLetterState.DEAD]
        assert await store.audit() == ()


async def test_what_was_agreed_on_before_it_was_ordered_cannot_be_edited(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        await given_up(place, Demolition(text="hello"))
        (outcome,) = await desk.order(RepairAction.EDIT, "1", payload='{"text": "mended"}')
        assert "was agreed on as it is" in outcome.detail
        (outcome,) = await desk.order(RepairAction.RETRY, "1")
        assert outcome.outcome is RepairOutcome.DONE


async def test_one_letter_that_cannot_be_repaired_does_not_hold_up_the_others(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        await given_up(place, Question(text="hello"))
        outcomes = await desk.order(RepairAction.DROP, "77", "parked:0123456789ab", "1", "1")
        assert [(outcome.name, outcome.outcome) for outcome in outcomes] == [
            ("77", RepairOutcome.REFUSED),
            ("parked:0123456789ab", RepairOutcome.REFUSED),
            ("1", RepairOutcome.DONE),
        ]


async def test_nobody_but_people_orders_repairs(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        await given_up(place, Question(text="hello"))
        await place.say(RepairRequest(action=RepairAction.DROP, letters=("1",), by="dana"))
        await place.until(lambda: len(place.told) == 2)
        assert isinstance(place.answers[1], MessageRejected)
        letters = await desk.letters()
        assert [letter.state for letter in letters] == [DeadLetterState.DEAD, DeadLetterState.PARKED]


async def parked(place: Workplace, desk: Desk, message: Message, *, told: bool = True, **changes: str) -> DeadLetter:
    """Have the agent refuse a message."""
    before = len(place.told)
    await place.say(message, **changes)  # type: ignore[arg-type]
    if told:
        await place.until(lambda: len(place.told) > before)
    await eventually(lambda: bool(place.broker.queue(AGENT).parked))
    (letter,) = [letter for letter in await desk.letters() if letter.state is DeadLetterState.PARKED]
    return letter


async def test_a_parked_message_says_why_and_from_whom(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        letter = await parked(place, desk, Novelty(text="hello"))
        assert letter.name.startswith("parked:")
        assert "no such message type" in letter.reason
        assert (letter.sender, letter.type) == (PEER, "novelty")


async def test_a_parked_message_is_taken_in_by_a_release_that_knows_it(tmp_path: Path) -> None:
    async with workplace(Library().agent, tmp_path) as place:
        desk = Desk(place)
        async with place.running():
            letter = await parked(place, desk, Novelty(text="hello"))
            (outcome,) = await desk.order(RepairAction.RETRY, letter.name)
            assert outcome.outcome is RepairOutcome.REFUSED
            assert "unknown_type" in outcome.detail
        later = Library()
        later.learn()
        later.is_repaired = True
        place.replace_agent(later.agent)
        async with place.running() as (_, store):
            (outcome,) = await desk.order(RepairAction.RETRY, letter.name)
            assert outcome.outcome is RepairOutcome.DONE
            await place.until(lambda: Answer(text="hello") in place.answers)
            assert await desk.letters() == ()
            (line,) = [row.entry for row in await store.audit() if row.entry.action == "parked_message_retried"]
            assert (line.actor, line.details["sender"]) == ("dana", PEER)


async def test_a_message_under_another_s_name_is_refused_again(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, _):
        forged = {"from": "security-agent", "to": AGENT, "type": "question", "payload": {"text": "mended"}}
        await place.publish(json.dumps(forged | metadata()).encode())
        await eventually(lambda: bool(place.broker.queue(AGENT).parked))
        (letter,) = await desk.letters()
        for action, payload in ((RepairAction.RETRY, None), (RepairAction.EDIT, '{"text": "mended"}')):
            (outcome,) = await desk.order(action, letter.name, payload=payload)
            assert "wrong_sender" in outcome.detail
        assert len(await desk.letters()) == 1


def metadata() -> dict[str, object]:
    return {"id": new_id(), "version": 1, "sentAt": "2026-01-05T09:00:00Z", "conversationId": new_id()}


async def test_a_parked_message_is_corrected_in_its_sender_s_name(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, store):
        wrong = {"from": PEER, "to": AGENT, "type": "question", "payload": {"text": 7}}
        await place.publish(json.dumps(wrong | metadata()).encode())
        await place.until(lambda: place.told)
        (letter,) = await desk.letters()
        (outcome,) = await desk.order(RepairAction.EDIT, letter.name, payload='{"text": "mended"}')
        await place.until(lambda: len(place.told) == 2)
        assert place.told[1].payload == Answer(text="mended")
        assert place.told[1].causation_id == outcome.replacement_id
        (line,) = [row.entry for row in await store.audit()]
        assert (line.action, line.details["replacementId"]) == ("parked_message_edited", outcome.replacement_id)
        assert await desk.letters() == ()


async def test_what_is_no_message_at_all_is_shown_harmlessly_and_dropped(library: Library, tmp_path: Path) -> None:
    async with at_work(library, tmp_path) as (place, desk, store):
        await place.publish(b"\x1b[2Jno \xff json")
        await eventually(lambda: bool(place.broker.queue(AGENT).parked))
        (letter,) = await desk.letters(name=(await desk.letters())[0].name, with_body=True)
        assert letter.body == "\\x1b[2Jno \\xff json"
        (outcome,) = await desk.order(RepairAction.DROP, letter.name)
        assert outcome.outcome is RepairOutcome.DONE
        assert await desk.letters() == ()
        assert [row.entry.action for row in await store.audit()] == ["parked_message_dropped"]


def test_repairs_come_from_people_and_reach_any_agent() -> None:
    for message in (RepairRequest, DeadLettersRequest):
        assert message.declaration.route == Route.of(CONSOLE, ANY)
