"""Judges a flow by what the outside systems saw: their journal first, the product's own word last."""

from __future__ import annotations

__all__ = ["Evidence", "violations"]

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from faults.flow import Outcome
from interlock.agents.sandbox.journal import Entry, Journal
from interlock.agents.sandbox.sandbox import JOURNAL

_ONCE = {"In Progress", "Done"}
_ATTACHMENTS = {"terraform-output.txt", "architecture-diagram.png"}
_PRODUCTION, _REHEARSAL = "prod-db-postgresql", "test-db-postgresql"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about a flow that has ended."""

    exit_code: int | None
    report: dict[str, Any]
    """The report as JSON; empty when there is none."""
    journal: Sequence[Entry]
    workflows: int
    """Rows in the coordinator's store."""

    @classmethod
    def of(cls, outcome: Outcome) -> Evidence:
        """Collect it from the flow's folder."""
        report = json.loads(outcome.report.read_text(encoding="utf-8")) if outcome.report.exists() else {}
        return cls(outcome.exit_code, report, Journal.read(outcome.work / "sandbox" / JOURNAL), outcome.workflows)


def violations(evidence: Evidence) -> tuple[str, ...]:
    """Return what should not be, one sentence each; none when all is well."""
    return (*_ended(evidence), *_ticket(evidence), *_cloud(evidence), *_announced(evidence))


def _ended(evidence: Evidence) -> Iterator[str]:
    outcome = evidence.report.get("outcome", "no report")
    if outcome != "accepted" or evidence.exit_code != 0:
        yield f"the flow ended {outcome} with exit code {evidence.exit_code}: {evidence.report.get('reason', '')}"
    if evidence.workflows != 1:
        yield f"{evidence.workflows} workflows for one change"


def _ticket(evidence: Evidence) -> Iterator[str]:
    moves = _counted(evidence, "jira", "transition")
    comments = Counter(entry.detail.rsplit("\n", 1)[-1] for entry in _of(evidence, "jira", "comment"))
    attachments = _counted(evidence, "jira", "attach")
    yield from _exactly_once("the ticket moved to", _ONCE, moves)
    yield from _exactly_once("attached", _ATTACHMENTS, attachments)
    yield from (f"commented {count} times: {marker}" for marker, count in comments.items() if count > 1)
    if not comments:
        yield "nobody commented"


def _cloud(evidence: Evidence) -> Iterator[str]:
    created = Counter(entry.subject for entry in _of(evidence, "aws", "CreateDBInstance"))
    yield from _exactly_once("asked AWS to create", {_PRODUCTION, _REHEARSAL}, created)
    described = evidence.report.get("resources", {}).get("DescribeDBInstances", {})
    if described.get("DBInstanceIdentifier") != _PRODUCTION:
        yield f"AWS describes {described.get('DBInstanceIdentifier')} as the production database"


def _announced(evidence: Evidence) -> Iterator[str]:
    """At most once: an announcement whose fate is unknown is not repeated."""
    said = Counter((entry.subject, entry.detail) for entry in evidence.journal if entry.system == "chat")
    yield from (f"said {count} times in #{channel}: {text}" for (channel, text), count in said.items() if count > 1)


def _exactly_once(what: str, expected: set[str], counted: Counter[str]) -> Iterator[str]:
    for name in sorted(expected | counted.keys()):
        if counted[name] != (1 if name in expected else 0):
            yield f"{what} {name!r} {counted[name]} times"


def _counted(evidence: Evidence, system: str, action: str) -> Counter[str]:
    return Counter(entry.detail for entry in _of(evidence, system, action))


def _of(evidence: Evidence, system: str, action: str) -> Iterator[Entry]:
    return (entry for entry in evidence.journal if (entry.system, entry.action) == (system, action))
