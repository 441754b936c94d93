"""What a look at one thing came to; it knows nothing of what was looked at."""

from __future__ import annotations

__all__ = ["Finding", "Verdict"]

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is. `unknown` is not well: it could not be looked at."""

    OK = "ok"
    WARNING = "warning"
    """Works, and somebody should know."""
    FAILED = "failed"
    """Does not work, or will not for long."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of evidence and, unless all is well, one of advice; neither holds a secret or a message's content."""

    verdict: Verdict
    subject: str
    evidence: str
    advice: str | None = None

    @classmethod
    def ok(cls, subject: str, evidence: str) -> Finding:
        """Return that it is well, and what shows it."""
        return cls(Verdict.OK, subject, evidence)

    @classmethod
    def warning(cls, subject: str, evidence: str, advice: str) -> Finding:
        """Return that somebody should know."""
        return cls(Verdict.WARNING, subject, evidence, advice)

    @classmethod
    def failed(cls, subject: str, evidence: str, advice: str) -> Finding:
        """Return that it does not work, and what to do."""
        return cls(Verdict.FAILED, subject, evidence, advice)

    @classmethod
    def unknown(cls, subject: str, evidence: str, advice: str | None = None) -> Finding:
        """Return why it could not be looked at."""
        return cls(Verdict.UNKNOWN, subject, evidence, advice)
