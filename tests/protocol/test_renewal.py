"""A recorded conversation is made a new one, consistently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.protocol.messages.approval import ApprovalRequest
from interlock.protocol.recording import normalised, read
from interlock.protocol.renewal import renewed

CORPUS = Path(__file__).parents[1] / "recordings"
NAMES = sorted(path.stem for path in CORPUS.glob("*.jsonl"))
NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_is_said_under_new_ids_from_now_on(name: str) -> None:
    recording = read((CORPUS / f"{name}.jsonl").read_bytes())

    fresh = renewed(recording, now=NOW)

    assert normalised(fresh) == normalised(recording)
    assert fresh[0].sent_at == NOW
    assert {envelope.id for envelope in fresh} & {envelope.id for envelope in recording} == set()
    assert len({envelope.conversation_id for envelope in fresh}) == 1
    pauses = [
        (old.sent_at - recording[0].sent_at, new.sent_at - NOW) for old, new in zip(recording, fresh, strict=True)
    ]
    assert [old for old, new in pauses if old != new] == []


def test_what_payloads_say_of_time_moves_along() -> None:
    recording = read((CORPUS / "budget-denied.jsonl").read_bytes())

    fresh = renewed(recording, now=NOW)

    ((expires_at, asked_at),) = (
        (envelope.payload.expires_at, envelope.sent_at)
        for envelope in fresh
        if isinstance(envelope.payload, ApprovalRequest)
    )
    assert expires_at - asked_at == timedelta(minutes=30)


def test_ids_can_be_kept() -> None:
    recording = read((CORPUS / "budget-denied.jsonl").read_bytes())

    assert [envelope.id for envelope in renewed(recording, now=NOW, keep_ids=True)] == [e.id for e in recording]


def test_nothing_renewed_is_nothing() -> None:
    assert renewed((), now=NOW) == ()
