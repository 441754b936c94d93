"""What an emulated Jira remembers: one project's issues, their workflow and changelog; it knows no HTTP.

The workflow is To Do -> In Progress -> Done, with steps back; a step that a status does not offer is refused.
"""

from __future__ import annotations

__all__ = ["ISSUE_TYPES", "STATUSES", "JiraState", "RefusedError", "StoredIssue"]

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from interlock.agents.sandbox.jira_query import Query
from interlock.agents.sandbox.journal import Listener

Json = dict[str, Any]

ISSUE_TYPES = ("Infrastructure", "Incident", "Story", "Task", "Bug")
PRIORITIES = ("Critical", "Highest", "High", "Medium", "Low", "Lowest")
STATUSES = ("To Do", "In Progress", "Done")
WORKFLOW: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "To Do": (("11", "Start Progress", "In Progress"),),
    "In Progress": (("21", "Done", "Done"), ("31", "Stop Progress", "To Do")),
    "Done": (("41", "Reopen", "To Do"),),
}
"""Status -> the steps that it offers: id, name, status reached."""
_EDITABLE = {"summary", "description", "labels", "priority", "assignee", "reporter"}


class RefusedError(Exception):
    """Raised when Jira would refuse a write with status 400, by field."""

    def __init__(self, **errors: str) -> None:
        self.errors = errors
        super().__init__(str(errors))


@dataclass(slots=True)
class StoredIssue:
    """One issue with everything attached to it."""

    id: str
    key: str
    created: datetime
    updated: datetime
    fields: Json
    comments: list[Json] = field(default_factory=list[Json])
    attachments: list[Json] = field(default_factory=list[Json])
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    watchers: list[str] = field(default_factory=list[str])
    histories: list[Json] = field(default_factory=list[Json])

    @property
    def number(self) -> int:
        """The number in the key."""
        return int(self.key.rpartition("-")[2])

    def facts(self) -> dict[str, list[str]]:
        """Return what queries compare, by field."""
        assignee: str | None = self.fields["assignee"]
        return {
            "project": [self.key.rpartition("-")[0]],
            "issuetype": [self.fields["issuetype"]],
            "status": [self.fields["status"]],
            "labels": self.fields["labels"],
            "key": [self.key],
            "summary": [self.fields["summary"]],
            "assignee": [assignee] if assignee else [],
        }


class JiraState:
    """Issues of one project; each write is dated by `now` and told to `journal`."""

    def __init__(self, *, project: str, users: frozenset[str], now: Callable[[], datetime], journal: Listener) -> None:
        self.project = project
        self.users = users
        self.issues: dict[str, StoredIssue] = {}
        self._now = now
        self._journal = journal
        self._ids = itertools.count(10_000)
        self._numbers = itertools.count(1)

    def __repr__(self) -> str:
        return f"JiraState(project={self.project!r}, issues={len(self.issues)})"

    def create(self, fields: Json, *, author: str, key: str | None = None) -> StoredIssue:
        """Add an issue. Raises RefusedError for fields that Jira would not take."""
        if fields.get("project") != self.project:
            raise RefusedError(project="valid project is required")
        if fields.get("issuetype") not in ISSUE_TYPES:
            raise RefusedError(issuetype="valid issue type is required")
        if not str(fields.get("summary") or "").strip():
            raise RefusedError(summary="You must specify a summary of the issue.")
        values: Json = {
            "description": None,
            "labels": [],
            "priority": "Medium",
            "assignee": None,
            "reporter": author,
            "status": STATUSES[0],
        } | fields
        self._check(values)
        at = self._now()
        key = key or next(free for free in self._keys() if free not in self.issues)
        issue = StoredIssue(str(next(self._ids)), key, at, at, values)
        self.issues[key] = issue
        self._journal("create", key, values["summary"])
        return issue

    def _keys(self) -> map[str]:
        return map(f"{self.project}-{{}}".format, self._numbers)

    def update(self, issue: StoredIssue, fields: Json, *, author: str) -> None:
        """Change fields and record each change. Raises RefusedError."""
        if unknown := sorted(fields.keys() - _EDITABLE):
            name = unknown[0]
            raise RefusedError(**{name: f"Field '{name}' cannot be set. It is not on the appropriate screen."})
        values = issue.fields | fields
        self._check(values)
        changes = [(name, issue.fields[name], value) for name, value in fields.items() if issue.fields[name] != value]
        issue.fields = values
        self._record(issue, author, changes)
        self._journal("update", issue.key, ", ".join(name for name, _, _ in changes))

    def move(self, issue: StoredIssue, transition: str, *, author: str) -> None:
        """Take a step of the workflow. Raises RefusedError for one that this status does not offer."""
        status: str = issue.fields["status"]
        for step, _, reached in WORKFLOW[status]:
            if step == transition:
                issue.fields["status"] = reached
                self._record(issue, author, [("status", status, reached)])
                self._journal("transition", issue.key, reached)
                return
        raise RefusedError(
            transition=f"It seems that you have tried to perform an illegal workflow operation: {transition}"
        )

    def comment(self, issue: StoredIssue, body: str, *, author: str) -> Json:
        """Add a comment."""
        if not body.strip():
            raise RefusedError(comment="Comment body can not be empty!")
        at = self._stamp()
        comment: Json = {"id": str(next(self._ids)), "author": author, "body": body, "created": at, "updated": at}
        issue.comments.append(comment)
        self._journal("comment", issue.key, body)
        return comment

    def rewrite(self, issue: StoredIssue, comment: Json, body: str) -> None:
        """Change a comment's text."""
        if not body.strip():
            raise RefusedError(comment="Comment body can not be empty!")
        comment |= {"body": body, "updated": self._stamp()}
        self._journal("comment-update", issue.key, body)

    def erase(self, issue: StoredIssue, comment: Json) -> None:
        """Delete a comment."""
        issue.comments.remove(comment)
        self._journal("comment-delete", issue.key, comment["id"])

    def attach(self, issue: StoredIssue, filename: str, content: bytes, *, author: str) -> Json:
        """Attach a file."""
        id_ = str(next(self._ids))
        attachment: Json = {
            "id": id_, "filename": filename, "size": len(content), "author": author, "created": self._stamp(),
        }  # fmt: skip
        issue.attachments.append(attachment)
        issue.contents[id_] = content
        self._record(issue, author, [("Attachment", None, filename)])
        self._journal("attach", issue.key, filename)
        return attachment

    def watch(self, issue: StoredIssue, name: str) -> None:
        """Add a watcher, once."""
        if name not in self.users:
            raise RefusedError(watcher=f"The user '{name}' does not exist.")
        if name not in issue.watchers:
            issue.watchers.append(name)
            self._journal("watch", issue.key, name)

    def delete(self, issue: StoredIssue) -> None:
        """Delete an issue."""
        del self.issues[issue.key]
        self._journal("delete", issue.key, "")

    def find(self, query: Query) -> list[StoredIssue]:
        """Return the matching issues in the query's order. Raises RefusedError for values that do not exist."""
        known = {"project": {self.project}, "issuetype": set(ISSUE_TYPES), "status": set(STATUSES)}
        for clause in query.clauses:
            names = {name.casefold() for name in known.get(clause.field, set())}
            for value in clause.values:
                if names and value.casefold() not in names:
                    raise RefusedError(jql=f"The value '{value}' does not exist for the field '{clause.field}'.")
        found = [
            issue for issue in self.issues.values() if all(clause.holds(issue.facts()) for clause in query.clauses)
        ]
        keys: dict[str, Callable[[StoredIssue], tuple[Any, int]]] = {
            "created": lambda issue: (issue.created, issue.number),
            "updated": lambda issue: (issue.updated, issue.number),
            "key": lambda issue: (0, issue.number),
        }
        return sorted(found, key=keys[query.order], reverse=query.descending)

    def _check(self, values: Json) -> None:
        if "\n" in values["summary"]:
            raise RefusedError(summary="The summary is invalid because it contains newline characters.")
        if len(values["summary"]) > 255:
            raise RefusedError(summary="Summary must be less than 255 characters.")
        if not isinstance(values["description"], str | None):
            raise RefusedError(description="Operation value must be a string")
        if values["priority"] not in PRIORITIES:
            raise RefusedError(priority=f"Priority name '{values['priority']}' is not valid")
        for label in values["labels"]:
            if " " in label:
                raise RefusedError(labels=f"The label '{label}' contains spaces which is invalid.")
        for role in ("assignee", "reporter"):
            if values[role] is not None and values[role] not in self.users:
                raise RefusedError(**{role: f"User '{values[role]}' does not exist."})

    def _record(self, issue: StoredIssue, author: str, changes: list[tuple[str, Any, Any]]) -> None:
        issue.updated = self._now()
        items = [
            {"field": name, "fieldtype": "jira", "fromString": _shown(before), "toString": _shown(after)}
            for name, before, after in changes
        ]
        if items:
            issue.histories.append(
                {"id": str(next(self._ids)), "author": author, "created": self._stamp(), "items": items}
            )

    def _stamp(self) -> str:
        return stamp(self._now())


def stamp(at: datetime) -> str:
    """Return a moment as Jira writes it, e.g. `2026-01-05T09:00:00.000+0000`."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}+0000"


def _shown(value: Any) -> str | None:
    return " ".join(value) if isinstance(value, list) else value
