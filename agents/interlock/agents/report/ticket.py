"""The Jira issue as the report shows it: how it stands, and everything that happened to it."""

from __future__ import annotations

__all__ = ["Ticket", "TicketChange", "TicketComment"]

from collections.abc import Iterable

from interlock.agents.systems.jira.adf import plain_text
from interlock.agents.systems.jira.issue import HistoryEntry, Issue
from interlock.protocol.values import Timestamp, Value


class TicketChange(Value):
    """One field, before and after."""

    at: Timestamp
    author: str
    field: str
    before: str | None
    after: str | None


class TicketComment(Value):
    """One comment as plain text, its markup as written."""

    id: str
    author: str
    body: str
    created: Timestamp


class Ticket(Value):
    """One issue as read back from Jira after the run."""

    key: str
    summary: str
    status: str
    history: tuple[TicketChange, ...]
    """Oldest first."""
    comments: tuple[TicketComment, ...]
    attachments: tuple[str, ...]
    """File names."""

    @classmethod
    def of(cls, issue: Issue, *, history: Iterable[HistoryEntry]) -> Ticket:
        """Build from what Jira answered; documents become plain text."""
        return cls(
            key=issue.key,
            summary=issue.summary,
            status=issue.status,
            history=tuple(
                TicketChange(
                    at=entry.at, author=entry.author, field=entry.field, before=entry.before, after=entry.after
                )
                for entry in history
            ),
            comments=tuple(
                TicketComment(
                    id=comment.id, author=comment.author, body=plain_text(comment.body), created=comment.created
                )
                for comment in issue.comments
            ),
            attachments=issue.attachments,
        )
