"""Ticket files: the specification's form, its round trip through Jira, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from interlock.agents.sandbox.jira import jira_application
from interlock.agents.systems.jira import JiraClient, deduplication_label
from interlock.agents.systems.tickets import load_ticket
from interlock.bus.clock import VirtualClock
from interlock.protocol.errors import UsageError

TICKETS = Path(__file__).parents[2] / "fixtures" / "tickets"
FILES = sorted(path for path in TICKETS.glob("*.json") if not path.name.endswith(".answers.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_fixture_is_a_ticket(path: Path) -> None:
    assert load_ticket(path).project == "PROJ"


async def test_every_field_of_the_specifications_ticket_round_trips_through_jira() -> None:
    ticket = load_ticket(TICKETS / "proj-140.json")
    application = jira_application(
        clock=VirtualClock(), credentials={"interlock": "secret"}, users=["devops-agent", "product-owner"]
    )
    async with TestServer(application) as server:
        client = JiraClient(str(server.make_url("/")), user=None, token="secret", cloud=False)
        created = await client.create(ticket.new_issue(), key="PROJ-140")
        read = await client.issue(created.key)
        await client.aclose()

    assert (read.project, read.issue_type, read.summary) == ("PROJ", "Infrastructure", "프로덕션 데이터베이스 RDS 설정")
    assert read.description == ticket.description
    assert read.assignee == "devops-agent"
    assert read.reporter == "product-owner"
    assert read.labels == ("infrastructure", "database", "production", deduplication_label("PROJ-140"))
    assert read.priority == "High"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "the file: Invalid JSON"),
        (b"\xff\xfe{}", "the file"),
        (b"[]", "the file"),
        (b"{}", "project: Field required"),
        (b'{"project": "PROJ", "issueType": "I", "summary": "a\\nb", "description": ""}', "summary"),
        (b'{"project": "PROJ", "issueType": "I", "summary": "a", "description": 1}', "description"),
        (b'{"project": "PROJ", "issueType": "I", "summary": "a", "description": "", "approved": true}', "approved"),
        (b'{"project": "PROJ", "issueType": "I", "summary": "a", "description": "", "labels": ["a b"]}', "labels.0"),
        (b" " * 1_048_577, "larger than 1048576 bytes"),
    ],
)
def test_a_file_that_is_no_ticket_is_refused_with_the_place(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "ticket.json"
    path.write_bytes(content)

    with pytest.raises(UsageError, match=r"ticket\.json") as caught:
        load_ticket(path)

    assert reason in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the ticket .*none\.json: No such file"):
        load_ticket(tmp_path / "none.json")
