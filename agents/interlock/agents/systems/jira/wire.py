"""The JSON of Jira's REST API, checked and turned into values; it knows the shapes of versions 2 and 3, no transport.

Shapes: "The Jira Data Center platform REST API" 9.x and "Jira Cloud platform REST API" v3, resource `issue`.
"""

from __future__ import annotations

__all__ = ["Attachment", "IssueDocument", "Transition"]

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from interlock.agents.systems.jira.adf import plain_text
from interlock.agents.systems.jira.issue import Comment, HistoryEntry, Issue


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Named(_Shape):
    name: str


class _Keyed(_Shape):
    key: str


class _User(_Shape):
    name: str | None = None
    account_id: Annotated[str | None, Field(alias="accountId")] = None

    @property
    def account(self) -> str:
        return self.account_id or self.name or "unknown"


class _Comment(_Shape):
    id: str
    author: _User = _User()
    body: str | dict[str, object] = ""
    created: AwareDatetime

    def value(self) -> Comment:
        return Comment(self.id, self.author.account, self.body, self.created)


class _Comments(_Shape):
    comments: tuple[_Comment, ...] = ()


class Attachment(_Shape):
    """One attached file."""

    id: str
    filename: str
    size: int
    """Bytes."""


class Transition(_Shape):
    """One step that the workflow offers now."""

    id: str
    name: str
    to: _Named


class _Fields(_Shape):
    project: _Keyed
    issuetype: _Named
    summary: str
    description: str | dict[str, object] | None = None
    status: _Named
    assignee: _User | None = None
    reporter: _User | None = None
    labels: tuple[str, ...] = ()
    priority: _Named | None = None
    comment: _Comments = _Comments()
    attachment: tuple[Attachment, ...] = ()


class _Change(_Shape):
    field: str
    before: Annotated[str | None, Field(alias="fromString")] = None
    after: Annotated[str | None, Field(alias="toString")] = None


class _Changes(_Shape):
    created: AwareDatetime
    author: _User = _User()
    items: tuple[_Change, ...] = ()


class _Changelog(_Shape):
    histories: tuple[_Changes, ...] = ()


class IssueDocument(_Shape):
    """An issue as the REST API gives it, with its changelog when that was asked for."""

    key: str
    fields: _Fields
    changelog: _Changelog = _Changelog()

    def issue(self) -> Issue:
        """Return the issue as a value."""
        fields = self.fields
        return Issue(
            key=self.key,
            project=fields.project.key,
            issue_type=fields.issuetype.name,
            summary=fields.summary,
            description=fields.description or "",
            status=fields.status.name,
            assignee=fields.assignee.account if fields.assignee else None,
            reporter=fields.reporter.account if fields.reporter else None,
            labels=fields.labels,
            priority=fields.priority.name if fields.priority else None,
            comments=tuple(comment.value() for comment in fields.comment.comments),
            attachments=tuple(attachment.filename for attachment in fields.attachment),
        )

    def history(self) -> tuple[HistoryEntry, ...]:
        """Return changes and comments together, oldest first."""
        changes = [
            HistoryEntry(group.created, group.author.account, change.field, change.before, change.after)
            for group in self.changelog.histories
            for change in group.items
        ]
        comments = [
            HistoryEntry(comment.created, comment.author.account, "comment", None, plain_text(comment.body))
            for comment in self.fields.comment.comments
        ]
        return tuple(sorted([*changes, *comments], key=lambda entry: entry.at))
