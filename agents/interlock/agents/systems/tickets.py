"""Tickets as files: the specification's form of an issue, checked; it knows nothing of what a ticket asks for."""

from __future__ import annotations

__all__ = ["TicketFile", "load_ticket"]

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from interlock.agents.systems.jira.issue import NewIssue
from interlock.protocol.errors import UsageError
from interlock.protocol.values import IssueKey, ShortText

_LARGEST = 1_048_576
"""Bytes; Jira itself takes 32,767 characters of description by default."""

_Account = Annotated[str, Field(min_length=1, max_length=255)]
_Label = Annotated[str, Field(pattern=r"^\S{1,255}$")]


class TicketFile(BaseModel):
    """One issue as `Infrastructure Task 생성` writes it, with an optional key and reporter."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )

    project: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{1,19}$")]
    issue_type: ShortText
    summary: Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^\r\n]*$")]
    description: Annotated[str, Field(max_length=32_767)] | dict[str, object]
    """Markdown or Jira wiki markup, or a document in the Atlassian Document Format."""
    assignee: _Account | None = None
    labels: tuple[_Label, ...] = ()
    priority: ShortText | None = None
    key: IssueKey | None = None
    reporter: _Account | None = None

    def new_issue(self) -> NewIssue:
        """Return what to create in Jira; the key is Jira's to give."""
        return NewIssue(
            project=self.project,
            issue_type=self.issue_type,
            summary=self.summary,
            description=self.description,
            assignee=self.assignee,
            reporter=self.reporter,
            labels=self.labels,
            priority=self.priority,
        )


def load_ticket(path: Path) -> TicketFile:
    """Read one ticket from a JSON file of at most 1 MiB, in UTF-8.

    Raises UsageError with the file, the field and the reason; the content of other fields is not repeated.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read the ticket {path}: {error.strerror or error}") from error
    if len(content) > _LARGEST:
        raise UsageError(f"the ticket {path} is larger than {_LARGEST} bytes")
    try:
        return TicketFile.model_validate_json(content)
    except ValidationError as error:
        problems = "; ".join(_told(problem["loc"], problem["msg"]) for problem in error.errors(include_input=False))
        raise UsageError(f"the ticket {path} is not valid: {problems}") from error


def _told(location: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, location)) or 'the file'}: {message}"
