"""What the encoder writes is what encoding an envelope writes, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import decode, encode
from interlock.protocol.encoder import Encoder
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError
from interlock.protocol.examples import example
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskCancelled

SENDER, RECEIVER = "devops-agent", "backend-agent"
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2199, 12, 31), timezones=st.just(UTC))
IDS = st.uuids().map(str)
TRACEPARENTS = st.from_regex(r"\A[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


@pytest.mark.parametrize("message_class", tuple(CATALOGUE), ids=lambda each: each.declaration.type)
def test_every_type_twice(message_class: type[Message]) -> None:
    payload = example(message_class).payload
    encoder = Encoder(SENDER)
    for _ in range(2):
        now, message_id, conversation_id = datetime.now(UTC), new_id(), new_id()
        expected = Envelope.wrap(
            payload,
            sender=SENDER,
            receiver=RECEIVER,
            sent_at=now,
            id=message_id,
            conversation_id=conversation_id,
            deadline=now + timedelta(hours=1),
        )
        written = encoder.encode(
            payload,
            receiver=RECEIVER,
            message_id=message_id,
            conversation_id=conversation_id,
            sent_at=now,
            deadline=now + timedelta(hours=1),
        )
        assert written == encode(expected)
        assert decode(written) == expected


@given(st.text(max_size=200), MOMENTS, IDS, IDS, st.none() | IDS, st.none() | MOMENTS, st.none() | TRACEPARENTS)
def test_any_text_moment_and_id(
    text: str,
    sent_at: datetime,
    message_id: str,
    conversation_id: str,
    causation_id: str | None,
    deadline: datetime | None,
    traceparent: str | None,
) -> None:
    try:
        payload = TaskCancelled(reason=text)
    except ValidationError:
        payload = TaskCancelled(reason='quotes " and \\ and 한국어')
    encoder = Encoder(SENDER)
    wrapped = Envelope.wrap(
        payload,
        sender=SENDER,
        receiver=RECEIVER,
        sent_at=sent_at,
        id=message_id,
        conversation_id=conversation_id,
        causation_id=causation_id,
        deadline=deadline,
        traceparent=traceparent,
    )
    for _ in range(2):
        written = encoder.encode(
            payload,
            receiver=RECEIVER,
            message_id=message_id,
            conversation_id=conversation_id,
            sent_at=sent_at,
            causation_id=causation_id,
            deadline=deadline,
            traceparent=traceparent,
        )
        assert written == encode(wrapped)


def test_what_an_envelope_refuses_is_refused_also_the_second_time() -> None:
    encoder, payload, now = Encoder(SENDER), TaskCancelled(reason="no"), datetime.now(UTC)

    def write(**changes: object) -> bytes:
        fields: dict[str, object] = {
            "receiver": RECEIVER,
            "message_id": new_id(),
            "conversation_id": new_id(),
            "sent_at": now,
        }
        return encoder.encode(payload, **(fields | changes))  # type: ignore[arg-type] # wrong ones on purpose

    for _ in range(2):
        write()
        for wrong in (
            {"receiver": 'x","to":"root'},
            {"conversation_id": "PROJ-140"},
            {"conversation_id": new_id() + "\n"},
            {"causation_id": "no id"},
            {"traceparent": '00","to":"root'},
            {"sent_at": datetime(1999, 1, 1, tzinfo=UTC)},
        ):
            with pytest.raises(ValidationError):
                write(**wrong)
        elsewhere = now.astimezone(timezone(timedelta(hours=9)))
        assert decode(write(sent_at=elsewhere)).sent_at == now


def test_what_is_too_large_is_refused_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.protocol.encoder.MAX_BYTES", 100)
    monkeypatch.setattr("interlock.protocol.codec.MAX_BYTES", 100)
    encoder = Encoder(SENDER)
    for _ in range(2):
        with pytest.raises(InvalidMessageError, match="at most 100 are accepted"):
            encoder.encode(
                TaskCancelled(reason="x" * 90),
                receiver=RECEIVER,
                message_id=(message_id := new_id()),
                conversation_id=message_id,
                sent_at=datetime.now(UTC),
            )
