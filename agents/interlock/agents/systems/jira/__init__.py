"""Jira: issues, comments, transitions and attachments; only `client` and `faults` know the library behind them."""

from __future__ import annotations

__all__ = [
    "Comment",
    "HistoryEntry",
    "Issue",
    "JiraClient",
    "JiraPort",
    "JiraUnavailableError",
    "NewIssue",
    "deduplication_label",
]

from interlock.agents.systems.jira.client import JiraClient
from interlock.agents.systems.jira.faults import JiraUnavailableError
from interlock.agents.systems.jira.issue import Comment, HistoryEntry, Issue, NewIssue, deduplication_label
from interlock.agents.systems.jira.port import JiraPort
