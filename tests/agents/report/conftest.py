"""A change that went all the way: its recorded conversation, its rows in the coordinator's store, and its ticket."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image
from pydantic import JsonValue

from interlock.agents.report.report import Broker, Report, Run
from interlock.agents.report.ticket import Ticket
from interlock.agents.systems.jira.issue import Comment, HistoryEntry, Issue
from interlock.bus.store.records import ApprovalRow, ApprovalState, AuditEntry, AuditRow
from interlock.protocol import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalRequest
from interlock.protocol.messages.presence import AgentAnnounced, AgentHeartbeat
from interlock.protocol.recording import read
from interlock.protocol.roles import BACKEND, DEVOPS, TEAM

RECORDING = Path(__file__).with_name("proj-140.jsonl")
ENTERED = (
    ("analysing", 0.0),
    ("estimated", 1.2),
    ("in_progress", 1.4),
    ("coded", 1.6),
    ("planned", 2.7),
    ("in_review", 2.9),
    ("approved_test", 3.2),
    ("applied_test", 5.0),
    ("verified_test", 5.6),
    ("approved", 8.6),
    ("applied", 10.4),
    ("verified", 11.0),
    ("monitored", 11.6),
    ("documented", 12.2),
    ("handed_off", 12.4),
    ("accepted", 13.9),
    ("done", 14.5),
)
"""When the coordinator noted which state, in seconds from the first message."""


@dataclass
class Story:
    """A conversation that can go on, with the audit trail and the approvals beside it."""

    envelopes: list[Envelope[Message]]
    audit: list[AuditRow]
    approvals: list[ApprovalRow]
    began: datetime
    now: datetime

    def say(self, sender: str, receiver: str, payload: Message, *, after: float = 0.2) -> None:
        """Send one more message, some seconds after the last."""
        self.now += timedelta(seconds=after)
        self.envelopes.append(Envelope.wrap(payload, sender=sender, receiver=receiver, sent_at=self.now))

    def note(self, action: str, *, at: datetime | None = None, **details: str) -> None:
        """Append a line to the audit trail."""
        entry = AuditEntry(conversation_id="", actor=DEVOPS, action=action, details=details)
        self.audit.append(AuditRow(len(self.audit) + 1, at or self.now, entry, previous_hash="", hash=""))


@pytest.fixture
def recording() -> bytes:
    """The conversation as JSON lines."""
    return RECORDING.read_bytes()


@pytest.fixture
def story(recording: bytes) -> Story:
    """PROJ-140 from the request to the acceptance, with the author's own approval refused on the way."""
    envelopes = list(read(recording))
    told = Story(envelopes, [], [], began=envelopes[0].sent_at, now=envelopes[-1].sent_at)
    for state, seconds in ENTERED:
        told.note("entered", at=told.began + timedelta(seconds=seconds), state=state)
    asked = next(e for e in envelopes if isinstance(e.payload, ApprovalRequest))
    request = asked.payload
    assert isinstance(request, ApprovalRequest)
    gate = ApprovalRow(
        id=request.approval_id,
        conversation_id=asked.conversation_id,
        subject=request.subject,
        digest=request.digest,
        environment=request.environment,
        author=request.author,
        summary=f"Apply plan {request.digest} of PROJ-140 to production",
        state=ApprovalState.USED,
        requested_at=asked.sent_at,
        expires_at=request.expires_at,
        approver="minsu",
        decided_at=asked.sent_at + timedelta(seconds=3),
    )
    told.approvals.append(gate)
    told.note(
        "approval_refused",
        at=asked.sent_at + timedelta(seconds=1),
        approval=gate.id,
        approver=gate.author,
        code="own_change",
        digest=gate.digest,
    )
    return told


@pytest.fixture
def presence(story: Story) -> tuple[Envelope[Message], ...]:
    """What agents announce beside any change."""
    announced = AgentAnnounced(name=BACKEND, handles=("infrastructure_ready",), version="0.1.0")
    beat = AgentHeartbeat(name=BACKEND, waiting=0, working=1)
    return tuple(
        Envelope.wrap(payload, sender=BACKEND, receiver="all", sent_at=story.began) for payload in (announced, beat)
    )


@pytest.fixture
def ticket(story: Story) -> Ticket:
    """The issue after the change."""
    issue = Issue(
        key="PROJ-140",
        project="PROJ",
        issue_type="Infrastructure",
        summary="프로덕션 데이터베이스 RDS 설정",
        description="",
        status="Done",
        comments=(Comment(id="10001", author=DEVOPS, body="h2. Infrastructure Deployed", created=story.now),),
        attachments=("plan.txt", "architecture.png"),
    )
    moves = (("To Do", "In Progress", story.began), ("In Progress", "Done", story.now))
    return Ticket.of(issue, history=[HistoryEntry(at, DEVOPS, "status", before, after) for before, after, at in moves])


@pytest.fixture
def run(story: Story) -> Run:
    """The circumstances: every agent a process of its own; four seconds to start, one to stop."""
    return Run(
        started_at=story.began - timedelta(seconds=4),
        ended_at=story.now + timedelta(seconds=1),
        processes={name: 4000 + number for number, name in enumerate(TEAM)},
        broker=Broker(kind="private", version="RabbitMQ 4.1.0"),
        engine="aws-direct",
        sandbox=True,
        notes=("Failover between zones was not provoked.",),
    )


@pytest.fixture
def report(story: Story, ticket: Ticket, run: Run) -> Report:
    """The report of the story."""
    resources: dict[str, JsonValue] = {"DescribeDBInstances": {"MultiAZ": True}}
    return Report.build(
        story.envelopes, approvals=story.approvals, audit=story.audit, ticket=ticket, resources=resources, run=run
    )


@pytest.fixture
def picture() -> bytes:
    """The smallest PNG."""
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "PNG")
    return stream.getvalue()
