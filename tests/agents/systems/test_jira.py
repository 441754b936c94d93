"""The Jira client against the emulated Jira, over HTTP through the real library."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
import pytest
from aiohttp.test_utils import TestServer

from interlock.agents.sandbox.jira import STATE, jira_application, seed_issue
from interlock.agents.sandbox.jira_faults import FAULTS, Fault
from interlock.agents.systems.jira import JiraClient, JiraUnavailableError, NewIssue, deduplication_label
from interlock.agents.systems.jira.adf import from_text, plain_text
from interlock.agents.systems.jira.jql import contains, quote
from interlock.bus.clock import VirtualClock
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError, UsageError

TOKEN = "canary-token-5f1c"
PEOPLE = ("devops-agent", "product-owner", "backend-agent", "coordinator")
TASK = NewIssue(
    project="PROJ",
    issue_type="Infrastructure",
    summary='프로덕션 데이터베이스 "RDS" 설정',
    description="## Requirements\n- Database: PostgreSQL 14",
    assignee="devops-agent",
    reporter="product-owner",
    labels=("infrastructure", "database", "production"),
    priority="High",
    watchers=("backend-agent", "coordinator"),
)


@dataclass
class Jira:
    server: TestServer
    writes: list[tuple[str, str]] = field(default_factory=list)

    def client(
        self, *, user: str | None = "interlock", token: str = TOKEN, looks: Sequence[float] = (0.0, 0.1)
    ) -> JiraClient:
        url = str(self.server.make_url("/"))
        return JiraClient(url, user=user, token=token, cloud=False, timeout=5.0, looks=looks)

    def fail(self, fault: Fault) -> None:
        self.server.app[FAULTS].append(fault)

    def count(self, action: str) -> int:
        return [done for done, _ in self.writes].count(action)


@asynccontextmanager
async def served() -> AsyncGenerator[Jira]:
    writes: list[tuple[str, str]] = []
    application = jira_application(
        clock=VirtualClock(),
        credentials={"interlock": TOKEN},
        users=PEOPLE,
        journal=lambda action, key, _detail: writes.append((action, key)),
    )
    fields = {"project": "PROJ", "issuetype": "Infrastructure", "summary": "Database", "description": "text"}
    seed_issue(application, fields, key="PROJ-140", author="product-owner")
    writes.clear()
    server = TestServer(application)
    async with server:
        yield Jira(server, writes)


@pytest.fixture
async def jira() -> AsyncGenerator[Jira]:
    async with served() as running:
        yield running


@pytest.fixture
async def client(jira: Jira) -> AsyncGenerator[JiraClient]:
    client = jira.client()
    yield client
    await client.aclose()


async def test_every_field_of_the_task_round_trips(client: JiraClient, jira: Jira) -> None:
    created = await client.create(TASK, key="task")

    read = await client.issue(created.key)
    assert read == created
    assert (read.project, read.issue_type, read.summary) == (TASK.project, TASK.issue_type, TASK.summary)
    assert (read.description, read.assignee, read.reporter) == (TASK.description, TASK.assignee, TASK.reporter)
    assert (read.labels, read.priority) == ((*TASK.labels, deduplication_label("task")), TASK.priority)
    assert read.status == "To Do"
    assert jira.server.app[STATE].issues[read.key].watchers == list(TASK.watchers)


async def test_one_key_gives_one_issue_even_when_two_clients_create_at_once(client: JiraClient, jira: Jira) -> None:
    other = jira.client()
    keys: list[str] = []

    async def create(who: JiraClient) -> None:
        keys.append((await who.create(TASK, key="alert-1")).key)

    async with anyio.create_task_group() as group:
        for who in (client, other, client, other):
            group.start_soon(create, who)
    await other.aclose()

    assert len(set(keys)) == 1
    assert len(await client.search(project="PROJ", labels=[deduplication_label("alert-1")])) == 1


async def test_a_creation_cut_off_after_it_happened_is_found_instead_of_repeated(
    client: JiraClient, jira: Jira
) -> None:
    jira.fail(Fault("reset-after", "/issue$", "POST"))

    created = await client.create(TASK, key="cut-off")

    assert jira.count("create") == 1
    assert deduplication_label("cut-off") in created.labels


async def test_a_creation_that_cannot_be_found_has_an_unknown_outcome(jira: Jira) -> None:
    client = jira.client(looks=(0.0,))
    jira.fail(Fault("reset", "/issue$", "POST"))

    with pytest.raises(UnknownOutcomeError, match=deduplication_label("gone")):
        await client.create(TASK, key="gone")
    await client.aclose()


async def test_an_issue_moves_by_the_name_of_the_status_once(client: JiraClient, jira: Jira) -> None:
    assert await client.transition("PROJ-140", "In Progress") == "In Progress"
    assert await client.transition("PROJ-140", "in progress") == "In Progress"

    assert jira.count("transition") == 1
    assert (await client.issue("PROJ-140")).status == "In Progress"


async def test_an_issue_moves_by_the_name_of_the_transition(client: JiraClient) -> None:
    assert await client.transition("PROJ-140", "Start Progress") == "In Progress"


async def test_a_step_that_the_workflow_lacks_is_refused_with_those_it_has(client: JiraClient, jira: Jira) -> None:
    with pytest.raises(PermanentError, match="Start Progress -> In Progress"):
        await client.transition("PROJ-140", "Done")

    assert jira.count("transition") == 0


async def test_a_comment_is_posted_once_and_brought_up_to_date_in_place(client: JiraClient, jira: Jira) -> None:
    first = await client.comment("PROJ-140", "## Deployed ✅\n- one", marker="PROJ-140/closed")
    same = await client.comment("PROJ-140", "## Deployed ✅\n- one\n", marker="PROJ-140/closed")
    changed = await client.comment("PROJ-140", "## Deployed ✅\n- two", marker="PROJ-140/closed")
    other = await client.comment("PROJ-140", "## Deployed ✅\n- two", marker="PROJ-140/closed-2")

    assert first == same == changed != other
    assert (jira.count("comment"), jira.count("comment-update")) == (2, 1)
    bodies = [comment.body for comment in (await client.issue("PROJ-140")).comments]
    assert bodies[0] == "## Deployed ✅\n- two\n\ninterlock-ref: PROJ-140/closed"


async def test_a_comment_cut_off_after_it_was_posted_is_not_posted_again(client: JiraClient, jira: Jira) -> None:
    jira.fail(Fault("reset-after", "/comment$", "POST"))
    with pytest.raises(TransientError):
        await client.comment("PROJ-140", "text", marker="m")

    await client.comment("PROJ-140", "text", marker="m")

    assert jira.count("comment") == 1


async def test_a_marker_that_would_break_its_line_is_refused(client: JiraClient) -> None:
    with pytest.raises(UsageError, match="marker"):
        await client.comment("PROJ-140", "text", marker="a\nb")


async def test_a_file_is_attached_once_for_each_content(client: JiraClient, jira: Jira) -> None:
    for content in (b"plan 1", b"plan 1", b"plan 2"):
        await client.attach("PROJ-140", "terraform-output.txt", content)

    assert jira.count("attach") == 2
    assert (await client.issue("PROJ-140")).attachments == ("terraform-output.txt",) * 2


@pytest.mark.parametrize("name", ["", "../x", "a\r\nb"])
async def test_a_file_name_that_is_a_path_is_refused(client: JiraClient, name: str) -> None:
    with pytest.raises(UsageError, match="plain file name"):
        await client.attach("PROJ-140", name, b"x")


async def test_the_history_tells_who_changed_what_in_order(client: JiraClient) -> None:
    await client.transition("PROJ-140", "In Progress")
    await client.attach("PROJ-140", "a.txt", b"a")
    await client.comment("PROJ-140", "done", marker="m")

    history = await client.history("PROJ-140")

    told = [(entry.author, entry.field, entry.before, entry.after) for entry in history]
    assert told == [
        ("interlock", "status", "To Do", "In Progress"),
        ("interlock", "Attachment", None, "a.txt"),
        ("interlock", "comment", None, "done\n\ninterlock-ref: m"),
    ]


async def test_a_search_combines_its_conditions(client: JiraClient) -> None:
    await client.create(TASK, key="one")
    await client.create(replace(TASK, issue_type="Incident", summary="API is slow (P1)"), key="two")

    found = await client.search(project="PROJ", issue_type="Incident", statuses=["To Do", "Done"], summary="slow (p1)")

    assert [issue.summary for issue in found] == ["API is slow (P1)"]


async def test_a_value_cannot_end_its_own_jql_string(client: JiraClient) -> None:
    assert await client.search(project="PROJ", labels=['x" OR project = "PROJ']) == ()
    assert quote('a" OR b\\') == '"a\\" OR b\\\\"'
    assert contains("summary", "a* OR (b)") == 'summary ~ "a or b"'
    with pytest.raises(UsageError):
        quote("a\nb")


async def test_a_refused_query_says_why(client: JiraClient) -> None:
    with pytest.raises(PermanentError, match="'NOPE' does not exist for the field 'project'"):
        await client.search(project="NOPE")


async def test_an_unknown_issue_is_permanent(client: JiraClient) -> None:
    with pytest.raises(PermanentError, match="read PROJ-9: HTTP 404: Issue Does Not Exist"):
        await client.issue("PROJ-9")


@pytest.mark.parametrize("key", ["proj-1", "../myself", "PROJ-1/comment", "PROJ-1\n"])
async def test_a_key_that_would_reach_another_path_is_refused_before_sending(client: JiraClient, key: str) -> None:
    with pytest.raises(UsageError, match="not an issue key"):
        await client.issue(key)


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("0", 0.0), (None, None), ("soon", None)])
async def test_a_rate_limit_is_transient_and_says_how_long(
    client: JiraClient, jira: Jira, header: str | None, seconds: float | None
) -> None:
    jira.fail(Fault("429", retry_after=header))

    with pytest.raises(JiraUnavailableError, match="Rate limit exceeded") as caught:
        await client.issue("PROJ-140")

    assert caught.value.retry_after == seconds


async def test_an_outage_with_a_web_page_is_transient(client: JiraClient, jira: Jira) -> None:
    jira.fail(Fault("503"))

    with pytest.raises(JiraUnavailableError, match="HTTP 503: Service temporarily unavailable"):
        await client.issue("PROJ-140")


async def test_an_outage_while_looking_up_a_watcher_stays_transient(client: JiraClient, jira: Jira) -> None:
    jira.fail(Fault("503", "/user/search"))

    with pytest.raises(JiraUnavailableError, match="HTTP 503"):
        await client.create(TASK, key="watched")


async def test_a_dropped_connection_is_transient(client: JiraClient, jira: Jira) -> None:
    jira.fail(Fault("reset"))

    with pytest.raises(TransientError, match="no answer from Jira to: read PROJ-140"):
        await client.issue("PROJ-140")


async def test_a_login_page_instead_of_json_is_permanent(client: JiraClient, jira: Jira) -> None:
    jira.fail(Fault("html"))

    with pytest.raises(PermanentError, match="does not speak Jira's REST API"):
        await client.issue("PROJ-140")


async def test_wrong_credentials_are_permanent_and_stay_out_of_the_message(jira: Jira) -> None:
    client = jira.client(token="canary-wrong")
    with pytest.raises(PermanentError, match="HTTP 401: no reason given") as caught:
        await client.issue("PROJ-140")
    await client.aclose()

    assert "canary" not in f"{caught.value!r} {client!r}"


async def test_a_personal_access_token_is_enough(jira: Jira) -> None:
    client = jira.client(user=None)
    assert (await client.issue("PROJ-140")).key == "PROJ-140"
    await client.aclose()


def test_text_survives_the_document_format() -> None:
    text = "## Done ✅\n- one\n- two\n\n<!channel> {panel}\n\ninterlock-ref: m"

    document = from_text(text)

    assert plain_text(json.loads(json.dumps(document))) == text
