"""The sandbox's systems as a stranger sees them: over HTTP, without the product's own Jira and chat clients."""

from __future__ import annotations

__all__ = ["Outside", "ticket"]

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from interlock.agents.systems.aws.database import describe_raw
from interlock.agents.systems.aws.session import Aws
from interlock.agents.systems.tickets import TicketFile, load_ticket

FIXTURES = Path(__file__).parent.parent / "fixtures" / "tickets"


def ticket(name: str, *, identifier: str | None = None, replacing: Mapping[str, str] | None = None) -> TicketFile:
    """Return a ticket of the fixtures with words replaced; `identifier` gives it a database of its own."""
    loaded = load_ticket(FIXTURES / f"{name}.json")
    text = loaded.description
    assert isinstance(text, str), f"{name} is not text"
    for old, new in (replacing or {}).items():
        assert old in text, f"{name} says nothing of {old!r}"
        text = text.replace(old, new)
    if identifier is not None:
        bullet = "*" if text.lstrip().startswith("h2.") else "-"
        first, line, rest = text.partition(f"\n{bullet} ")
        text = f"{first}\n{bullet} Identifier: {identifier}{line}{rest}"
    return loaded.model_copy(update={"description": text})


class Outside:
    """Jira, chat and AWS, for tests to raise tickets in and to look at."""

    def __init__(
        self, settings: Mapping[str, Any], *, jira: httpx.AsyncClient, chat: httpx.AsyncClient, aws: Aws
    ) -> None:
        self.settings = settings
        self.aws = aws
        self._jira = jira
        self._chat = chat

    async def raise_issue(self, new: TicketFile) -> str:
        """Create the ticket in Jira and return the key that Jira gave it."""
        fields = {
            "project": {"key": new.project},
            "issuetype": {"name": new.issue_type},
            "summary": new.summary,
            "description": new.description,
            "labels": list(new.labels),
            "priority": {"name": new.priority},
            "assignee": {"name": new.assignee},
            "reporter": {"name": new.reporter},
        }
        answer = await self._jira.post("/rest/api/2/issue", json={"fields": fields})
        assert answer.status_code == 201, answer.text
        key: str = answer.json()["key"]
        return key

    async def reopen(self, key: str) -> None:
        """Take an issue from Done back to To Do."""
        path = f"/rest/api/2/issue/{key}/transitions"
        steps = (await self._jira.get(path)).raise_for_status().json()["transitions"]
        (step,) = [step["id"] for step in steps if step["name"] == "Reopen"]
        (await self._jira.post(path, json={"transition": {"id": step}})).raise_for_status()

    async def issue(self, key: str) -> dict[str, Any]:
        """Return an issue as Jira shows it, with its changelog."""
        answer = (await self._jira.get(f"/rest/api/2/issue/{key}?expand=changelog")).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def statuses(self, key: str) -> list[str]:
        """Return the statuses that an issue has moved to, in order."""
        histories = (await self.issue(key))["changelog"]["histories"]
        return [item["toString"] for entry in histories for item in entry["items"] if item["field"] == "status"]

    async def comments(self, key: str) -> list[str]:
        """Return the comments of an issue, oldest first."""
        return [comment["body"] for comment in (await self.issue(key))["fields"]["comment"]["comments"]]

    async def attachments(self, key: str) -> dict[str, bytes]:
        """Return the files that are attached to an issue."""
        attached = (await self.issue(key))["fields"]["attachment"]
        assert len({one["filename"] for one in attached}) == len(attached), "a file is attached twice"
        return {one["filename"]: (await self._jira.get(one["content"])).raise_for_status().content for one in attached}

    async def chat(self, mentioning: str) -> list[dict[str, Any]]:
        """Return the chat messages that contain these words, oldest first."""
        messages: list[dict[str, Any]] = (await self._chat.get("/messages")).raise_for_status().json()
        return [message for message in messages if mentioning in str(message["body"])]

    async def instance(self, identifier: str) -> dict[str, Any] | None:
        """Return a database as `DescribeDBInstances` tells it; None when there is none."""
        found = await describe_raw(self.aws, identifier)
        return dict(found) if found else None
