"""What must not leave the machine is taken out of messages, the same way every time, and they stay messages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, UsageError
from interlock.protocol.message import Message
from interlock.protocol.messages.change import ChangeRequested
from interlock.protocol.messages.task import InputProvided, TaskCancelled
from interlock.protocol.redaction import REDACTED, Redaction
from message_strategies import message_documents

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def sent(payload: Message) -> Envelope[Message]:
    return Envelope.wrap(payload, sender="console", receiver="coordinator", sent_at=NOW)


def reason(text: str, *words: str) -> str:
    (redacted,) = Redaction(words).apply([sent(TaskCancelled(reason=text))])
    assert isinstance(redacted.payload, TaskCancelled)
    return redacted.payload.reason


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "masterPassword",
        "DB_PASSWORD",
        "apiKey",
        "api-key",
        "secret",
        "secretAccessKey",
        "token",
        "apikey",
        "passwords",
        "dbPassword2",
    ],
)
def test_a_member_whose_name_ends_like_a_secrets_loses_its_value(name: str) -> None:
    (redacted,) = Redaction().apply([sent(InputProvided(answers={name: "correct horse"}))])

    assert redacted.payload == InputProvided(answers={name: REDACTED})


@pytest.mark.parametrize("name", ["secretName", "secrets", "tokenizer", "passwordPolicy", "planDigest", "keyName"])
def test_references_to_secrets_stay(name: str) -> None:
    (kept,) = Redaction().apply([sent(InputProvided(answers={name: "prod/database/credentials"}))])

    assert kept.payload == InputProvided(answers={name: "prod/database/credentials"})


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("amqp://qa:hunter2@db.example.com/x", "amqp://redacted@db.example.com/x"),
        ("redis://:s3cret@cache", "redis://redacted@cache"),
        ("amqp://u:p@ss/w@h/x", "amqp://redacted@h/x"),
        ("psql password=hunter2 user=qa", "psql password=redacted user=qa"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: Bearer redacted"),
        ("key " + "AKIA" + "ABCDEFGHIJKLMNOP" + " leaked", "key redacted leaked"),
        ("token " + "ghp_" + "a" * 36, "token redacted"),
        ("token " + "xoxb-" + "1234567890-abc", "token redacted"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0.c2ln", "redacted"),
        ("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY----- after", "redacted after"),
        ("nothing secret: sha256 of https://example.com/a?b", "nothing secret: sha256 of https://example.com/a?b"),
    ],
)
def test_what_looks_like_a_secret_is_taken_out_of_any_text(text: str, left: str) -> None:
    assert reason(text) == left


def test_an_address_is_found_wherever_it_begins() -> None:
    assert (
        reason("mailto:alice@corp.example, cc:bob@corp.example")
        == "mailto:person-1@example.com, cc:person-2@example.com"
    )


@pytest.mark.parametrize(("text", "word"), [("Herr Weiß kommt", "Weiß"), ("in İstanbul", "İstanbul")])
def test_words_of_any_script_are_found(text: str, word: str) -> None:
    assert word not in reason(text, word)


def test_addresses_of_people_become_the_same_pseudonym_everywhere() -> None:
    said = [
        sent(TaskCancelled(reason="Kim.Lee@corp.example and park@corp.example")),
        sent(TaskCancelled(reason="again kim.lee@corp.example")),
    ]

    first, second = Redaction().apply(said)

    assert first.payload == TaskCancelled(reason="person-1@example.com and person-2@example.com")
    assert second.payload == TaskCancelled(reason="again person-1@example.com")


def test_words_of_ones_own_are_numbered_as_given_in_any_case_of_letters() -> None:
    assert reason("ACME and Acme Blue for acme", "Acme Blue", "acme") == "redacted-2 and redacted-1 for redacted-2"


def test_a_word_without_which_a_message_is_none_is_refused() -> None:
    request = sent(ChangeRequested(jira_issue="PROJ-140", requested_by="kim"))

    with pytest.raises(UsageError, match=rf"change_requested {request.id}.*payload.jiraIssue"):
        Redaction(["PROJ"]).apply([request])


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # whole messages take their time
@given(st.sampled_from(tuple(CATALOGUE)).flatmap(message_documents))
def test_a_redacted_message_is_a_message_and_redacting_it_again_changes_nothing(document: dict[str, Any]) -> None:
    try:
        envelope = decode(json.dumps(document).encode())
    except InvalidMessageError:
        reject()  # fields that depend on each other

    once = Redaction().apply([envelope])

    assert Redaction().apply(once) == once
    assert (once[0].id, once[0].type, once[0].sender) == (envelope.id, envelope.type, envelope.sender)
