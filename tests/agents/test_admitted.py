"""What was decoded at the door is not decoded again, and nothing else is taken for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Question
from interlock.agents.admitted import AdmittedEnvelopes
from interlock.bus.store.records import InboxMessage
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message


def arrived(text: str = "who?") -> tuple[InboxMessage, Envelope[Message]]:
    wrapped = Envelope.wrap(Question(text=text), sender=PEER, receiver=AGENT, sent_at=datetime.now(UTC))
    body = encode(wrapped)
    row = InboxMessage(
        message_id=wrapped.id,
        sender=PEER,
        type="question",
        conversation_id=wrapped.conversation_id,
        body=body,
        received_at=wrapped.sent_at,
        reply_to=None,
    )
    return row, decode(body, catalogue=CATALOGUE)


def test_what_was_kept_is_given_once() -> None:
    admitted = AdmittedEnvelopes()
    row, envelope = arrived()
    admitted.keep(row.body, envelope)
    assert admitted.take(row) is envelope
    assert admitted.take(row) is None


def test_an_id_with_another_body_is_not_taken_for_it() -> None:
    admitted = AdmittedEnvelopes()
    row, envelope = arrived()
    admitted.keep(row.body, envelope)
    assert admitted.take(replace(row, body=arrived("somebody else's")[0].body)) is None


@pytest.mark.parametrize("size", [100, 200_000])
def test_what_is_kept_is_bounded_in_number_and_in_size(size: int) -> None:
    admitted = AdmittedEnvelopes()
    first, envelope = arrived()
    admitted.keep(first.body, envelope)
    for _ in range(2000):
        row, other = arrived()
        admitted.keep(row.body.ljust(size), other)
    assert sum(map(len, admitted.bodies())) <= 1024 * 16 * 1024
    assert len(admitted.bodies()) <= 1024
    assert (admitted.take(first) is None) is (size == 100)
