"""The port through which tickets are read and written; it knows no library and no deployment of Jira."""

from __future__ import annotations

__all__ = ["JiraPort"]

from collections.abc import Sequence
from typing import Protocol

from interlock.agents.systems.jira.issue import HistoryEntry, Issue, NewIssue


class JiraPort(Protocol):
    """Reads and writes issues. Every write looks first, so that repeating one after a failure changes nothing twice.

    All methods raise TransientError when Jira cannot answer now and PermanentError when it refuses.
    """

    async def issue(self, key: str) -> Issue:
        """Return one issue with its comments and the names of its attachments."""
        ...

    async def create(self, new: NewIssue, *, key: str) -> Issue:
        """Return the one issue of this de-duplication key, creating it if there is none.

        Raises UnknownOutcomeError when Jira may have created it and cannot yet show it.
        """
        ...

    async def transition(self, key: str, to: str) -> str:
        """Bring an issue to a status, given the status' or a transition's name; return the status as read back.

        An issue that is there already stays untouched. Raises PermanentError, naming what is available, when the
        workflow has no such step from here.
        """
        ...

    async def comment(self, key: str, text: str, *, marker: str) -> str:
        """Return the id of the one comment of this marker: posted, brought up to date in place, or as it was."""
        ...

    async def attach(self, key: str, filename: str, content: bytes) -> None:
        """Attach a file, unless one of the same name and content is attached already."""
        ...

    async def search(
        self,
        *,
        project: str,
        issue_type: str | None = None,
        statuses: Sequence[str] = (),
        labels: Sequence[str] = (),
        summary: str | None = None,
        limit: int = 50,
    ) -> tuple[Issue, ...]:
        """Return issues that have any of the statuses and all of the labels, oldest first.

        `summary` are words to be found in the summary. The index may lag behind what was just written.
        """
        ...

    async def history(self, key: str) -> tuple[HistoryEntry, ...]:
        """Return every recorded change and comment of an issue, oldest first."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
