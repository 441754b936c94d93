"""The small words that messages are made of: names, digests, times and sums, each with its limits."""

from __future__ import annotations

__all__ = [
    "AgentName",
    "CheckResult",
    "CheckVerdict",
    "Currency",
    "Digest",
    "Environment",
    "HostName",
    "Identifier",
    "IssueKey",
    "LongText",
    "MessageId",
    "Port",
    "ShortText",
    "Timestamp",
    "Value",
    "WireDuration",
]

import re
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from interlock.protocol.shapes import CURRENCY, DIGEST, DURATION, HOST_NAME, IDENTIFIER, ISSUE_KEY, LABEL, MESSAGE_ID


class Value(BaseModel):
    """A frozen part of a message: camelCase on the wire, snake_case in Python."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
    )


# C0 and C1 controls but for tab, line feed and carriage return; soft hyphen, zero-width and bidirectional controls,
# line separators; interlinear annotations and noncharacters; tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def _visible(text: str) -> str:
    if not (text.isascii() and text.isprintable()) and _INVISIBLE.search(text):
        raise ValueError("control, zero-width and bidirectional characters are not allowed")
    return text


def _moment(value: object) -> object:
    """Return a moment in UTC; what is none, or has no zone, is left for the type itself to refuse."""
    if isinstance(value, str):
        if not _MOMENT.fullmatch(value):
            raise ValueError("a date and time with seconds and zone is required, like 2026-01-31T09:00:00+09:00")
        value = datetime.fromisoformat(value)
    elif not isinstance(value, datetime) or value.tzinfo is None:
        return value
    if not _EARLIEST <= value < _LATEST:
        raise ValueError("the year must lie between 2000 and 2199")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


AgentName = Annotated[str, StringConstraints(pattern=LABEL, max_length=63)]
"""An agent's address, e.g. `backend-agent`; ASCII, so that no look-alike passes."""

MessageId = Annotated[str, StringConstraints(pattern=MESSAGE_ID)]
"""A UUID in its canonical lower-case form, and no other."""

IssueKey = Annotated[str, StringConstraints(pattern=ISSUE_KEY)]
"""A Jira issue key, e.g. `PROJ-140`."""

Digest = Annotated[str, StringConstraints(pattern=DIGEST)]
"""SHA-256 of exact bytes."""

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER)]
"""A name in an outside system that is safe in HCL, YAML, JQL and shell words: letters, digits, `. _ / -`."""

ShortText = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_visible)]
"""A line for people, of at most 500 characters, without control or zero-width characters."""

LongText = Annotated[str, StringConstraints(max_length=65_536), AfterValidator(_visible)]
"""Text for people, of at most 64 Ki characters."""

HostName = Annotated[str, StringConstraints(pattern=HOST_NAME)]
"""A DNS name or an IPv4 address."""

Port = Annotated[int, Field(ge=1, le=65_535, examples=[5432])]

Timestamp = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A moment with its zone, kept in UTC, between the years 2000 and 2199; on the wire as in RFC 3339, never a number."""

Currency = Annotated[str, StringConstraints(pattern=CURRENCY)]
"""ISO 4217."""

Amount = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=4)]

WireDuration = Annotated[str, StringConstraints(pattern=DURATION)]
"""A duration as the specification writes it, e.g. `30s`."""


class Environment(StrEnum):
    """Where a resource lives."""

    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def prefix(self) -> str:
        """The short form in names of resources: `prod` for production, as in the specification."""
        return {"production": "prod", "development": "dev"}.get(self.value, self.value)


class CheckVerdict(StrEnum):
    """The result of one check; unknown never counts as pass."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    WAIVED = "waived"
    UNKNOWN = "unknown"


class CheckResult(Value):
    """One line of a checklist with what proves it."""

    id: Identifier
    """A stable id: `K1`…`K33` of the infrastructure checklist, or the name of a property."""
    title: ShortText
    verdict: CheckVerdict
    evidence: ShortText
    """What was read, from where; never a secret value."""
