"""What is not a message for this agent, from whom the broker says, is parked with its reason and never handled."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question, Workplace, eventually, workplace
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.bus.store.port import Store
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.messages.change import ChangeRequested
from interlock.protocol.messages.task import MessageRejected


@pytest.fixture
def agent() -> Agent:
    library = Agent(AGENT, catalogue=CATALOGUE)

    @library.on
    async def answer(question: Question | Note, _: Context) -> Answer:
        return Answer(text=question.text)

    return library


def document(place: Workplace, **changes: Any) -> bytes:
    """Return a question's envelope with members changed."""
    envelope = Envelope.wrap(Question(text="hello"), sender=PEER, receiver=AGENT, sent_at=place.clock.now())
    return json.dumps({**json.loads(encode(envelope)), **changes}).encode()


async def parked(place: Workplace) -> list[bytes]:
    return [message.body for message in await place.broker.connect(AGENT).parked()]


def reasons(tmp_path: Path) -> list[tuple[str, str]]:
    """Return code and reason of every refusal in the agent's file."""
    connection = sqlite3.connect(tmp_path / "agent.sqlite")
    rows = connection.execute("SELECT code, reason FROM rejection ORDER BY code").fetchall()
    connection.close()
    return rows


def stored_bytes(tmp_path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in tmp_path.iterdir())


async def until_parked(place: Workplace, count: int = 1) -> None:
    queue = place.broker.queue(AGENT)
    await eventually(lambda: len(queue.parked) >= count)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"to": "another-agent"}, "wrong_receiver"),
        ({"type": "note", "payload": {"text": "x"}}, "wrong_receiver"),
        ({"payload": {"text": 1}}, "invalid_field"),
        ({"payload": {}}, "invalid_field"),
        ({"version": 9}, "unknown_version"),
        ({"type": "no_such_type"}, "unknown_type"),
    ],
)
async def test_a_message_that_cannot_be_taken_in_is_parked_and_its_proven_sender_is_told(
    agent: Agent, tmp_path: Path, changes: dict[str, Any], code: str
) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        body = document(place, **changes)
        await place.publish(body)
        (told,) = await place.until(lambda: place.told)
        await until_parked(place)
        assert isinstance(told.payload, MessageRejected)
        assert told.payload.code == code
        assert told.causation_id == json.loads(body)["id"]
        assert await parked(place) == [body]
        assert [known for known, _ in reasons(tmp_path)] == [code]


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"\xff\xfe", "not_utf8"), (b"{", "not_json"), (b"[]", "not_an_object"), (b'{"a":1,"a":2}', "duplicate_key")],
)
async def test_bytes_that_are_no_message_are_parked_and_nobody_is_told(
    agent: Agent, tmp_path: Path, body: bytes, code: str
) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.publish(body)
        await until_parked(place)
        assert [known for known, _ in reasons(tmp_path)] == [code]
        assert place.told == []


async def test_a_sender_that_the_broker_does_not_confirm_is_parked_and_not_told(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.publish(document(place, **{"from": "coordinator"}))
        await until_parked(place)
        assert [code for code, _ in reasons(tmp_path)] == ["wrong_sender"]
        assert place.told == []


async def test_a_type_that_this_sender_may_not_send_is_parked_and_told(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.say(ChangeRequested(jira_issue="PROJ-1", requested_by="me"))
        (told,) = await place.until(lambda: place.answers)
        assert isinstance(told, MessageRejected)
        assert told.code == "not_allowed"


@pytest.mark.parametrize(
    "address", ["coordinator", "reply.coordinator.1", f"reply.{PEER}.1\x00", f"reply.{PEER}.1\r\n"]
)
async def test_a_reply_address_that_is_not_the_senders_is_refused(agent: Agent, tmp_path: Path, address: str) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.say(Question(text="hello"), reply_to=address)
        (told,) = await place.until(lambda: place.answers)
        assert isinstance(told, MessageRejected)
        assert (told.code, told.path) == ("not_allowed", "replyTo")


async def test_an_answer_goes_to_where_its_sender_waits(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running(), place.peer.replies() as (address, replies):
        await place.say(Question(text="hello"), reply_to=address)
        delivery = await anext(aiter(replies))
        assert delivery.routing_key == f"{address}.answer"


async def test_the_same_refused_message_is_told_once(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        body = document(place, type="no_such_type")
        for _ in range(3):
            await place.publish(body)
        await until_parked(place, 3)
        await place.say(Question(text="last"))
        await place.until(lambda: Answer(text="last") in place.answers)
        assert len(place.told) == 2


async def test_a_rejection_is_never_answered_by_a_rejection(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.publish(document(place, type="message_rejected", payload={"code": 1}), type="message_rejected")
        await until_parked(place)
        assert place.told == []


async def test_an_announcement_that_cannot_be_read_is_not_answered(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.publish(document(place, to="all", type="note", payload={}), type="note", receiver="all")
        await until_parked(place)
        assert place.told == []


async def test_an_announcement_reaches_who_has_a_handler_for_it(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.say(Note(text="to all"), to="all", receiver="all")
        await place.until(lambda: place.answers == [Answer(text="to all")])


async def test_an_id_that_comes_again_with_another_body_is_parked_and_on_the_audit_trail(
    agent: Agent, tmp_path: Path
) -> None:
    async with workplace(agent, tmp_path) as place, place.running() as (_, store):
        reused, conversation = new_id(), new_id()
        await place.say(Question(text="first"), id=reused, conversation_id=conversation)
        await place.until(lambda: place.told)
        await place.say(Question(text="second"), id=reused, conversation_id=conversation)
        await until_parked(place)
        assert place.answers == [Answer(text="first")]
        assert [entry.entry.action for entry in await trail(store, conversation)] == ["message_id_reused"]
        assert [code for code, _ in reasons(tmp_path)] == ["id_reused"]


async def trail(store: Store, conversation: str) -> Any:
    return await store.audit(conversation_id=conversation)


async def test_no_payload_is_kept_of_what_was_refused(agent: Agent, tmp_path: Path) -> None:
    async with workplace(agent, tmp_path) as place, place.running():
        await place.publish(document(place, payload={"text": 1, "canary-key": "canary-value"}))
        await until_parked(place)
    assert b"canary" not in stored_bytes(tmp_path)
