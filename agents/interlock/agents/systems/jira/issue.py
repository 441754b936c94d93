"""Issues as values, the same for Jira Cloud and Data Center; this module knows neither HTTP nor JSON."""

from __future__ import annotations

__all__ = ["Comment", "Description", "HistoryEntry", "Issue", "NewIssue", "deduplication_label"]

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

Description = str | Mapping[str, object]
"""Text in Jira wiki markup or Markdown, or a document in the Atlassian Document Format."""


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment as it stands now."""

    id: str
    author: str
    body: Description
    created: datetime


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue as read from Jira."""

    key: str
    project: str
    issue_type: str
    summary: str
    description: Description
    status: str
    assignee: str | None = None
    """The account name on Data Center, the account id on Cloud."""
    reporter: str | None = None
    """Named as `assignee` is."""
    labels: tuple[str, ...] = ()
    priority: str | None = None
    comments: tuple[Comment, ...] = ()
    attachments: tuple[str, ...] = ()
    """File names; one name may occur more than once."""


@dataclass(frozen=True, slots=True)
class NewIssue:
    """What is to be created."""

    project: str
    issue_type: str
    summary: str
    description: Description = ""
    assignee: str | None = None
    reporter: str | None = None
    """None leaves the account that creates the issue; another one needs the permission Modify Reporter."""
    labels: tuple[str, ...] = ()
    priority: str | None = None
    watchers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One change of an issue: a field with its values before and after, or a comment (field `comment`)."""

    at: datetime
    author: str
    field: str
    before: str | None
    after: str | None


def deduplication_label(key: str) -> str:
    """Return the label that marks the one issue of a de-duplication key; the same key always gives the same label.

    A digest, because labels hold no spaces and at most 255 characters, and keys are anything.
    """
    return f"interlock-{hashlib.sha256(key.encode()).hexdigest()[:24]}"
