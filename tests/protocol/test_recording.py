"""Conversations as JSON lines: what was written is read again, and two runs can be compared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.protocol import Envelope, InvalidMessageError, RejectionCode
from interlock.protocol.message import Message
from interlock.protocol.messages.handoff import Connection, ConnectivityTarget, ConnectivityTestRequest
from interlock.protocol.messages.presence import AgentOffline
from interlock.protocol.messages.task import DeadlineExceeded, TaskCompleted, TaskFailed
from interlock.protocol.recording import chronological, normalised, read, write

START = datetime(2026, 1, 31, 9, tzinfo=UTC)


def sent(payload: Message, *, at: datetime = START, **metadata: Any) -> Envelope[Message]:
    return Envelope.wrap(payload, sender="devops-agent", receiver="qa-agent", sent_at=at, **metadata)


def conversation(*, at: datetime, port: int, digest: str) -> list[Envelope[Message]]:
    """Return a request, its answer and what somebody says about both: the same in every run but for what changes."""
    target = ConnectivityTarget(
        engine="postgres",
        connection=Connection(
            secret_name="prod/database/credentials",
            secret_manager=f"AWS Secrets Manager at 127.0.0.1:{port}",
            endpoint="db.example.com",
            port=port,
            database="app_db",
        ),
        require_tls=True,
    )
    asked = sent(
        ConnectivityTestRequest(jira_issue="PROJ-140", target=target), at=at, deadline=at + timedelta(minutes=30)
    )
    answered = sent(
        TaskCompleted(summary=f"tested plan {digest}"),
        at=at + timedelta(seconds=port % 7),
        conversation_id=asked.conversation_id,
        causation_id=asked.id,
        hops=port % 5,
        traceparent=f"00-{port:032x}-{port:016x}-01",
    )
    late = sent(
        DeadlineExceeded(request_id=asked.id, request_type="connectivity_test_request", deadline=at),
        conversation_id=asked.conversation_id,
    )
    return [asked, answered, late]


def test_a_recording_is_one_line_per_message_and_is_read_in_its_order() -> None:
    envelopes = conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}")

    recording = write(envelopes)

    assert recording.count(b"\n") == len(envelopes)
    assert list(read(recording)) == envelopes


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text('ab \n\t"\\{}한🚦', min_size=1, max_size=20), max_size=5))
def test_whatever_the_texts_contain_each_message_stays_on_one_line(texts: list[str]) -> None:
    envelopes = [sent(TaskFailed(code="x", reason=text)) for text in texts]

    assert list(read(write(envelopes))) == envelopes


def test_an_empty_recording_has_no_messages() -> None:
    assert write([]) == b""
    assert read(b"") == ()


def test_a_recording_with_windows_line_ends_is_read() -> None:
    envelopes = conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}")

    assert list(read(write(envelopes).replace(b"\n", b"\r\n"))) == envelopes


def test_a_wrong_line_is_named_by_its_number_and_path() -> None:
    envelopes = conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}")
    recording = write(envelopes).replace(b'"summary"', b'"summery"')

    with pytest.raises(InvalidMessageError, match=r"^line 2, payload\.summary: Field required") as caught:
        read(recording)

    assert caught.value.code is RejectionCode.INVALID_FIELD


def test_a_recording_that_was_cut_off_is_refused_at_its_last_line() -> None:
    recording = write(conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}"))

    with pytest.raises(InvalidMessageError, match=r"^line 3: not JSON"):
        read(recording[:-20])


def test_two_runs_that_say_the_same_compare_equal() -> None:
    first = conversation(at=START, port=40001, digest=f"sha256:{'a' * 64}")
    second = conversation(at=START + timedelta(days=3, microseconds=17), port=51234, digest=f"sha256:{'b' * 64}")

    def comparable(envelopes: list[Envelope[Message]], port: int) -> tuple[dict[str, Any], ...]:
        return normalised(envelopes, volatile={port: "<port>", f"127.0.0.1:{port}": "<aws>"})

    assert comparable(first, 40001) == comparable(second, 51234)
    assert normalised(first) != normalised(second)


def test_what_belongs_together_still_does_under_its_placeholder() -> None:
    asked, answered, late = normalised(conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}"))

    assert asked["id"] == asked["conversationId"] == answered["causationId"] == late["payload"]["requestId"] == "<id 1>"
    assert answered["id"] == "<id 2>"
    assert answered["payload"]["summary"] == "tested plan <digest 1>"
    assert {asked["sentAt"], asked["deadline"], late["payload"]["deadline"]} == {"<time>"}
    assert "hops" not in answered
    assert "traceparent" not in answered


def test_another_digest_or_another_cause_is_another_conversation() -> None:
    one, other = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    agreeing = [sent(TaskCompleted(summary=one)), sent(TaskCompleted(summary=one))]
    disagreeing = [sent(TaskCompleted(summary=one)), sent(TaskCompleted(summary=other))]

    assert normalised(agreeing) != normalised(disagreeing)


def test_the_longest_volatile_text_wins_and_booleans_are_no_numbers() -> None:
    messages = normalised(
        [sent(TaskFailed(code="x", reason="db-1.local refused db-1", retryable=True))],
        volatile={"db-1": "<host>", "db-1.local": "<name>", 1: "<one>"},
    )

    assert messages[0]["payload"]["reason"] == "<name> refused <host>"
    assert messages[0]["payload"]["retryable"] is True
    assert messages[0]["version"] == "<one>"


@pytest.mark.parametrize("zone", ["Z", "+09:00", "-0330"])
def test_moments_inside_texts_are_replaced_as_well(zone: str) -> None:
    offline = AgentOffline(name="qa-agent", last_seen=START, reason=f"silent since 2026-01-31T09:00:00.123{zone}!")

    assert normalised([sent(offline)])[0]["payload"]["reason"] == "silent since <time>!"


def test_blank_lines_are_passed_over_and_counted() -> None:
    envelopes = conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}")
    lines = write(envelopes).splitlines()

    assert read(b"\n\n".join(lines) + b"\n \n") == tuple(envelopes)
    with pytest.raises(InvalidMessageError, match=r"^line 3, "):
        read(lines[0] + b"\n\n{}\n")


def test_a_line_begins_with_what_people_look_for() -> None:
    (line, *_) = write(conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}")).splitlines()

    assert line.startswith(b'{"from":"devops-agent","to":"qa-agent","type":"connectivity_test_request","payload":{')


def test_messages_stand_once_in_the_order_of_sending() -> None:
    asked, answered, late = conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}")
    moved = late.model_copy(update={"sent_at": START - timedelta(seconds=1)})

    assert chronological([answered, asked, moved, asked]) == (moved, asked, answered)


def test_a_cause_stands_before_its_effect_whatever_the_clocks_say() -> None:
    asked, answered, _ = conversation(at=START, port=5432, digest=f"sha256:{'a' * 64}")
    early = answered.model_copy(update={"sent_at": START - timedelta(minutes=5)})

    assert chronological([early, asked]) == (asked, early)
