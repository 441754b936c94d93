"""What is shown of the bus, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from interlock.agents.cli.watch import Watch
from interlock.agents.report.tone import Tone
from interlock.protocol.codec import decode_bare
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import conversation_of, new_id
from interlock.protocol.message import ALL, Message
from interlock.protocol.messages.presence import AgentAnnounced, AgentHeartbeat
from interlock.protocol.messages.task import TaskDeclined
from interlock.protocol.selection import Selection

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
MESSAGES = Path(__file__).parents[2] / "fixtures" / "messages"
READY = decode_bare((MESSAGES / "infrastructure_ready.json").read_bytes(), now=NOW)
ISSUE = conversation_of("PROJ-140")


def said(
    message: Message, *, sender: str = "backend-agent", to: str = "devops-agent", about: str = ISSUE
) -> Envelope[Message]:
    return Envelope.wrap(message, sender=sender, receiver=to, sent_at=NOW, conversation_id=about)


HEARTBEAT = said(AgentHeartbeat(name="backend-agent", waiting=0, working=0), to=ALL, about=new_id())
DECLINED = said(TaskDeclined(code="pool_too_large", reason="60 are\nneeded"))


def test_a_message_is_one_line_with_what_it_is_about() -> None:
    told = Watch(Selection()).tell(READY)
    at = NOW.astimezone().strftime("%H:%M:%S")
    assert told.text == (
        f"{at} devops-agent -> backend-agent infrastructure_ready PROJ-140: "
        "RDS PostgreSQL at prod-db.abc123.ap-northeast-2.rds.amazonaws.com:5432"
    )
    assert told.tone is Tone.REQUEST


def test_an_answer_is_known_by_the_issue_of_its_conversation() -> None:
    watch = Watch(Selection())
    assert f"conversation {ISSUE}" in watch.tell(DECLINED).text
    watch.tell(READY)
    told = watch.tell(DECLINED)
    assert told.text.endswith("task_declined PROJ-140: pool_too_large: 60 are needed")
    assert told.tone is Tone.TROUBLE


def test_heartbeats_are_noise_unless_they_are_asked_for() -> None:
    assert not Watch(Selection()).admits(HEARTBEAT)
    assert Watch(Selection(), heartbeats=True).admits(HEARTBEAT)
    assert Watch(Selection.of(types=["agent_heartbeat"])).admits(HEARTBEAT)
    assert not Watch(Selection.of(types=["plan_ready"]), heartbeats=True).admits(HEARTBEAT)
    assert not Watch(Selection.of(conversations=["PROJ-140"]), heartbeats=True).admits(HEARTBEAT)
    assert Watch(Selection()).admits(said(AgentAnnounced(name="qa-agent", handles=(), version="1"), to=ALL))


@pytest.mark.parametrize(
    ("watch", "shown"),
    [
        (Watch(Selection()), [READY, DECLINED]),
        (Watch(Selection.of(conversations=["PROJ-140"])), [READY, DECLINED]),
        (Watch(Selection.of(conversations=[new_id()])), []),
        (Watch(Selection.of(types=["task_declined", "task_failed"])), [DECLINED]),
        (Watch(Selection(), sender="devops-agent"), [READY]),
        (Watch(Selection(), receiver="devops-agent"), [DECLINED]),
        (Watch(Selection.of(types=["task_declined"]), sender="devops-agent"), []),
    ],
)
def test_everything_that_is_asked_for_has_to_hold(watch: Watch, shown: list[Envelope[Message]]) -> None:
    assert [envelope for envelope in (READY, DECLINED) if watch.admits(envelope)] == shown


def test_only_a_watch_that_leaves_something_out_is_selective() -> None:
    assert not Watch(Selection(), heartbeats=True).is_selective
    assert Watch(Selection(), sender="qa-agent").is_selective
    assert Watch(Selection.of(types=["plan_ready"])).is_selective
