"""What is encoded is decoded to the same, for every message; what is not a message is refused, whatever it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from interlock.protocol import (
    CATALOGUE,
    Envelope,
    InfrastructureReady,
    InvalidMessageError,
    Message,
    RejectionCode,
    decode,
    decode_bare,
    encode,
)
from interlock.protocol.ids import conversation_of
from interlock.protocol.messages.task import InputProvided, TaskFailed, TaskProgress
from interlock.protocol.strict_json import MAX_BYTES
from message_strategies import message_documents

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BEYOND_SCHEMAS = ("decimal places", "digits", "at least 100 GB")
"""What a JSON Schema does not say: how exactly sums are kept, and rules across fields."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=12,
)


def failed(**fields: Any) -> Envelope[TaskFailed]:
    payload = TaskFailed(code="timeout", reason="no answer", **fields)
    return Envelope.wrap(payload, sender="qa-agent", receiver="devops-agent", sent_at=NOW)


@pytest.mark.parametrize("message", tuple(CATALOGUE), ids=lambda message: message.declaration.type)
def test_every_message_that_its_schema_allows_survives_decoding_encoding_and_decoding(message: type[Message]) -> None:
    @QUICK
    @given(message_documents(message))
    def survives(document: dict[str, Any]) -> None:
        try:
            envelope = decode(json.dumps(document).encode())
        except InvalidMessageError as error:
            assume(not any(rule in error.reason for rule in BEYOND_SCHEMAS))
            raise
        assert type(envelope.payload) is message
        assert decode(encode(envelope)) == envelope

    survives()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_with_one_typed_error(body: bytes) -> None:
    with pytest.raises(InvalidMessageError):
        decode(body)
    with pytest.raises(InvalidMessageError):
        decode_bare(body, now=NOW)


@settings(max_examples=150, deadline=None)
@given(JSON)
def test_arbitrary_json_is_refused_with_one_typed_error(value: object) -> None:
    with pytest.raises(InvalidMessageError):
        decode(json.dumps(value).encode("utf-8", "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([message.declaration.type for message in CATALOGUE]),
    st.dictionaries(st.sampled_from(["from", "to", "payload", "id", "version", "sentAt", "deadline", "hops"]), JSON),
)
def test_arbitrary_members_of_a_known_type_are_refused_or_decoded_but_never_crash(
    name: str, members: dict[str, object]
) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        decode_bare(json.dumps({**members, "type": name}).encode("utf-8", "surrogatepass"), now=NOW)
    assert "\n" not in str(caught.value)


def test_the_wire_has_the_specifications_member_names() -> None:
    members = json.loads(encode(failed()))

    assert set(members) == {"from", "to", "type", "payload", "id", "version", "sentAt", "conversationId", "hops"}
    assert set(members["payload"]) == {"code", "reason", "retryable", "outcome", "sideEffects"}


def test_absent_optional_members_are_left_out_rather_than_sent_as_null() -> None:
    progress = Envelope.wrap(TaskProgress(step="plan"), sender="qa-agent", receiver="devops-agent", sent_at=NOW)

    assert b"null" not in encode(progress)


def test_moments_of_any_zone_are_kept_in_utc() -> None:
    members = json.loads(encode(failed())) | {"sentAt": "2026-01-31T18:00:00+09:00"}

    assert decode(json.dumps(members).encode()).sent_at == NOW
    assert decode(json.dumps(members).encode()).sent_at.utcoffset() == timedelta(0)


def test_a_sender_may_not_invent_members() -> None:
    with pytest.raises(ValueError, match="extra_forbidden"):
        failed(approved=True)


def test_a_message_of_exactly_the_size_limit_travels() -> None:
    body = encode(failed())
    padded = body[:-1] + b" " * (MAX_BYTES - len(body)) + b"}"

    assert len(padded) == MAX_BYTES
    assert decode(padded) == decode(body)


def test_a_sender_is_told_when_a_message_is_too_large() -> None:
    answers = {f"field{number}": "x" * 500 for number in range(2200)}
    envelope = Envelope.wrap(InputProvided(answers=answers), sender="console", receiver="coordinator", sent_at=NOW)

    with pytest.raises(InvalidMessageError, match="input_provided") as caught:
        encode(envelope)

    assert caught.value.code is RejectionCode.TOO_LARGE
    assert envelope.id in str(caught.value)


def bare(**members: object) -> bytes:
    payload = {
        "jiraIssue": "PROJ-140",
        "resource": "RDS PostgreSQL",
        "environment": "production",
        "connection": {
            "secretName": "prod/database/credentials",
            "secretManager": "AWS Secrets Manager",
            "endpoint": "db.example.com",
            "port": 5432,
            "database": "app_db",
        },
        "configuration": {"maxConnections": 100, "connectionTimeout": "30s", "idleTimeout": "600s"},
    }
    document = {"from": "devops-agent", "to": "backend-agent", "type": "infrastructure_ready", "payload": payload}
    return json.dumps(document | members).encode()


def test_a_bare_message_gets_an_id_a_time_and_the_conversation_of_its_issue() -> None:
    first, second = decode_bare(bare(), now=NOW), decode_bare(bare(), now=NOW)

    assert isinstance(first.payload, InfrastructureReady)
    assert first.sent_at == NOW
    assert first.id != second.id
    assert first.conversation_id == second.conversation_id == conversation_of("PROJ-140")


def test_a_bare_message_without_an_issue_begins_a_conversation_of_its_own() -> None:
    members = {"from": "qa-agent", "to": "devops-agent", "type": "task_accepted", "payload": {}}
    envelope = decode_bare(json.dumps(members).encode(), now=NOW)

    assert envelope.conversation_id == envelope.id


def test_what_a_bare_message_says_about_itself_is_kept() -> None:
    kept = decode_bare(encode(failed()), now=NOW + timedelta(days=1))

    assert kept.sent_at == NOW


@pytest.mark.parametrize("member", ["id", "version", "sentAt", "conversationId"])
def test_between_agents_the_metadata_is_required(member: str) -> None:
    members = json.loads(encode(failed()))
    del members[member]

    with pytest.raises(InvalidMessageError) as caught:
        decode(json.dumps(members).encode())

    assert caught.value.path == member
