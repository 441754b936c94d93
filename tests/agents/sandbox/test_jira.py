"""The emulated Jira holds clients to the rules of the real one."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import FormData
from aiohttp.test_utils import TestClient, TestServer

from interlock.agents.sandbox.jira import jira_application, seed_issue
from interlock.bus.clock import VirtualClock

Client = TestClient[Any, Any]


def basic(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@pytest.fixture
async def jira() -> AsyncIterator[Client]:
    application = jira_application(clock=VirtualClock(), credentials={"interlock": "secret"}, users=["product-owner"])
    fields = {"project": "PROJ", "issuetype": "Story", "summary": "Story", "description": None}
    seed_issue(application, fields, key="PROJ-140", author="product-owner")
    async with TestClient(TestServer(application), headers={"Authorization": "Bearer secret"}) as client:
        yield client


async def answer(client: Client, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
    async with client.request(method, f"/rest/api/2/{path}", **arguments) as response:
        is_json = response.content_type == "application/json"
        return response.status, await (response.json() if is_json else response.text())


@pytest.mark.parametrize("authorization", ["", "Bearer wrong", "Basic !!", basic("interlock", "wrong"), "Digest x"])
async def test_nothing_is_shown_without_credentials(jira: Client, authorization: str) -> None:
    status, _ = await answer(jira, "GET", "serverInfo", headers={"Authorization": authorization})
    assert status == 401


async def test_basic_authentication_names_the_account(jira: Client) -> None:
    headers = {"Authorization": basic("interlock", "secret")}
    status, myself = await answer(jira, "GET", "myself", headers=headers)
    assert (status, myself["name"]) == (200, "interlock")


async def test_it_knows_the_issue_types_of_the_specification(jira: Client) -> None:
    _, types = await answer(jira, "GET", "issuetype")
    assert {"Infrastructure", "Incident", "Story"} <= {kind["name"] for kind in types}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"issuetype": {"name": "Nope"}}, "issuetype"),
        ({"project": {"key": "OTHER"}}, "project"),
        ({"summary": " "}, "summary"),
        ({"summary": "a\nb"}, "summary"),
        ({"labels": ["two words"]}, "labels"),
        ({"priority": {"name": "P1"}}, "priority"),
        ({"assignee": {"name": "nobody"}}, "assignee"),
        ({"description": {"type": "doc"}}, "description"),
    ],
)
async def test_an_issue_that_jira_would_not_take_is_refused_by_field(
    jira: Client, changes: dict[str, object], field: str
) -> None:
    fields = {"project": {"key": "PROJ"}, "issuetype": {"name": "Incident"}, "summary": "x"} | changes

    status, body = await answer(jira, "POST", "issue", json={"fields": fields})

    assert (status, list(body["errors"])) == (400, [field])


async def test_a_step_that_the_workflow_lacks_is_refused(jira: Client) -> None:
    status, body = await answer(jira, "POST", "issue/PROJ-140/transitions", json={"transition": {"id": "21"}})
    assert status == 400
    assert "illegal workflow operation" in body["errors"]["transition"]


async def test_changes_are_kept_in_the_changelog(jira: Client) -> None:
    assert (await answer(jira, "PUT", "issue/PROJ-140", json={"fields": {"labels": ["a", "b"]}}))[0] == 204
    assert (await answer(jira, "PUT", "issue/PROJ-140/assignee", json={"name": "interlock"}))[0] == 204

    _, issue = await answer(jira, "GET", "issue/PROJ-140?expand=changelog")

    items = [item for group in issue["changelog"]["histories"] for item in group["items"]]
    assert [(item["field"], item["toString"]) for item in items] == [("labels", "a b"), ("assignee", "interlock")]


async def test_comments_can_be_changed_and_deleted(jira: Client) -> None:
    _, comment = await answer(jira, "POST", "issue/PROJ-140/comment", json={"body": "one"})
    path = f"issue/PROJ-140/comment/{comment['id']}"

    assert (await answer(jira, "PUT", path, json={"body": "two"}))[1]["body"] == "two"
    assert (await answer(jira, "PUT", path, json={"body": " "}))[0] == 400
    assert (await answer(jira, "DELETE", path))[0] == 204
    assert (await answer(jira, "GET", path))[0] == 404


async def test_an_attachment_needs_the_header_against_forgery(jira: Client) -> None:
    def form() -> FormData:
        data = FormData()
        data.add_field("file", b"content", filename="a.txt")
        return data

    status, _ = await answer(jira, "POST", "issue/PROJ-140/attachments", data=form())
    assert status == 403
    headers = {"X-Atlassian-Token": "no-check"}
    status, attached = await answer(jira, "POST", "issue/PROJ-140/attachments", data=form(), headers=headers)
    assert (status, attached[0]["filename"], attached[0]["size"]) == (200, "a.txt", 7)


@pytest.mark.parametrize("body", ["", "{", "[]", '{"fields": 1}'])
async def test_a_body_that_is_no_request_is_refused(jira: Client, body: str) -> None:
    assert (await answer(jira, "POST", "issue", data=body))[0] == 400


async def test_bad_jql_is_refused_in_words(jira: Client) -> None:
    status, body = await answer(jira, "GET", "search", params={"jql": "project = "})
    assert status == 400
    assert body["errorMessages"][0].startswith("Error in the JQL Query")


async def test_results_come_in_pages(jira: Client) -> None:
    fields = {"project": {"key": "PROJ"}, "issuetype": {"name": "Story"}, "summary": "x"}
    for _ in range(3):
        await answer(jira, "POST", "issue", json={"fields": fields})

    query = {"jql": "project = PROJ ORDER BY key DESC", "startAt": 1, "maxResults": 2}
    _, page = await answer(jira, "POST", "search", json=query)

    assert (page["total"], [issue["key"] for issue in page["issues"]]) == (4, ["PROJ-3", "PROJ-2"])
