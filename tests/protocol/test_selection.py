"""Which messages are meant, by all that is asked at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import conversation_of, new_id
from interlock.protocol.messages.presence import AgentHeartbeat
from interlock.protocol.messages.task import TaskCancelled
from interlock.protocol.selection import Selection

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
CONVERSATION = conversation_of("PROJ-140")
CANCELLED: Envelope[Any] = Envelope.wrap(
    TaskCancelled(reason="no"), sender="console", receiver="coordinator", sent_at=NOW, conversation_id=CONVERSATION
)


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"conversations": ["PROJ-140"]},
        {"conversations": [CONVERSATION, new_id()]},
        {"types": ["task_cancelled"]},
        {"agents": ["console"]},
        {"agents": ["coordinator", "qa-agent"]},
        {"since": NOW, "until": NOW + timedelta(seconds=1)},
    ],
)
def test_a_message_that_meets_everything_is_admitted(asked: dict[str, Any]) -> None:
    assert Selection.of(**asked).admits(CANCELLED)


@pytest.mark.parametrize(
    "asked",
    [
        {"conversations": ["PROJ-141"]},
        {"types": ["task_failed"]},
        {"agents": ["qa-agent"]},
        {"since": NOW + timedelta(microseconds=1)},
        {"until": NOW},
        {"conversations": ["PROJ-140"], "types": ["task_failed"]},
    ],
)
def test_a_message_that_fails_one_condition_is_not(asked: dict[str, Any]) -> None:
    assert not Selection.of(**asked).admits(CANCELLED)


def test_heartbeats_are_admitted_only_by_name() -> None:
    beat = Envelope.wrap(
        AgentHeartbeat(name="qa-agent", waiting=0, working=0),
        sender="qa-agent",
        receiver="all",
        sent_at=NOW,
    )

    assert not Selection().admits(beat)
    assert Selection.of(types=["agent_heartbeat"]).admits(beat)


def test_a_conversation_is_an_id_or_an_issue() -> None:
    with pytest.raises(UsageError, match="neither a conversation's id nor the key"):
        Selection.of(conversations=["proj 140"])
