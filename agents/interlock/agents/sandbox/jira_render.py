"""Stored issues in the JSON shapes of Jira's REST API v2; it changes nothing."""

from __future__ import annotations

__all__ = ["Renderer"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from interlock.agents.sandbox.jira_state import ISSUE_TYPES, PRIORITIES, STATUSES, StoredIssue, stamp

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Writes resources with links to themselves below one base URL."""

    base: str

    def _link(self, path: str) -> str:
        return f"{self.base}/rest/api/2/{path}"

    def named(self, kind: str, names: Sequence[str], name: str) -> Json:
        """Return an issue type, status or priority."""
        number = names.index(name) + 1
        return {"self": self._link(f"{kind}/{number}"), "id": str(number), "name": name}

    def user(self, name: str) -> Json:
        """Return an account."""
        return {
            "self": self._link(f"user?username={quote(name)}"), "name": name, "key": name, "displayName": name,
            "active": True,
        }  # fmt: skip

    def project(self, key: str) -> Json:
        """Return the project."""
        return {"self": self._link("project/10000"), "id": "10000", "key": key, "name": key}

    def reference(self, issue: StoredIssue) -> Json:
        """Return what creating an issue answers."""
        return {"id": issue.id, "key": issue.key, "self": self._link(f"issue/{issue.id}")}

    def step(self, step: tuple[str, str, str]) -> Json:
        """Return a transition."""
        id_, name, reached = step
        return {"id": id_, "name": name, "to": self.named("status", STATUSES, reached)}

    def comment(self, issue: StoredIssue, comment: Json) -> Json:
        """Return one comment."""
        link = self._link(f"issue/{issue.id}/comment/{comment['id']}")
        return comment | {"self": link, "author": self.user(comment["author"])}

    def comments(self, issue: StoredIssue) -> Json:
        """Return all comments as one page."""
        comments = [self.comment(issue, comment) for comment in issue.comments]
        return {"comments": comments, "maxResults": len(comments), "total": len(comments), "startAt": 0}

    def attachment(self, attachment: Json) -> Json:
        """Return what is known of an attached file."""
        id_, name = attachment["id"], attachment["filename"]
        return attachment | {
            "self": self._link(f"attachment/{id_}"),
            "author": self.user(attachment["author"]),
            "content": f"{self.base}/secure/attachment/{id_}/{quote(name)}",
            "mimeType": "application/octet-stream",
        }

    def issue(self, issue: StoredIssue, *, changelog: bool = False) -> Json:
        """Return an issue with all its fields."""
        fields = issue.fields
        shown: Json = self.reference(issue) | {
            "fields": {
                "project": self.project(issue.key.rpartition("-")[0]),
                "issuetype": self.named("issuetype", ISSUE_TYPES, fields["issuetype"]),
                "summary": fields["summary"],
                "description": fields["description"],
                "status": self.named("status", STATUSES, fields["status"]),
                "assignee": self.user(fields["assignee"]) if fields["assignee"] else None,
                "reporter": self.user(fields["reporter"]),
                "labels": fields["labels"],
                "priority": self.named("priority", PRIORITIES, fields["priority"]),
                "comment": self.comments(issue),
                "attachment": [self.attachment(attachment) for attachment in issue.attachments],
                "created": stamp(issue.created),
                "updated": stamp(issue.updated),
            }
        }
        if changelog:
            histories = [group | {"author": self.user(group["author"])} for group in issue.histories]
            shown["changelog"] = {"startAt": 0, "total": len(histories), "histories": histories}
        return shown
