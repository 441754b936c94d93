"""The decision about a ticket: a complete specification, the questions that are open, or that it lies outside.

A fact that is missing, contradictory or unreadable is asked for, never assumed. What people answered wins.
"""

from __future__ import annotations

__all__ = ["Analysed", "NeedsInput", "analyse"]

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from interlock.agents.devops.analysis.document import Description, lines_of
from interlock.agents.devops.analysis.facts import Fact, facts_of, timeline_of
from interlock.agents.devops.analysis.readers import UnreadableError, read
from interlock.agents.devops.analysis.scope import Unsupported, outside
from interlock.agents.devops.analysis.vocabulary import QUESTIONS, Topic
from interlock.protocol.infrastructure import Budget, DatabaseEngine, DatabaseSpec, Timeline
from interlock.protocol.messages.task import MissingInput
from interlock.protocol.values import Environment

_OPTIONAL = {"identifier", "databaseName", "budget"}
_LONGEST_QUOTE = 120
_ANSWERED_BY = {
    "engine": Topic.ENGINE,
    "engineVersion": Topic.VERSION,
    "instanceClass": Topic.INSTANCE,
    "storageGb": Topic.STORAGE,
    "storageType": Topic.STORAGE_TYPE,
    "multiAz": Topic.MULTI_AZ,
    "backupRetentionDays": Topic.BACKUP,
    "encryptionAtRest": Topic.AT_REST,
    "encryptionInTransit": Topic.IN_TRANSIT,
    "publiclyAccessible": Topic.PUBLIC,
    "environment": Topic.ENVIRONMENT,
    "region": Topic.REGION,
    "vpc": Topic.VPC,
    "securityGroup": Topic.SECURITY_GROUP,
    "identifier": Topic.IDENTIFIER,
    "databaseName": Topic.DATABASE_NAME,
    "budget": Topic.BUDGET,
}


@dataclass(frozen=True, slots=True)
class Analysed:
    """Everything is known."""

    issue_key: str
    spec: DatabaseSpec
    environment: Environment
    budget: Budget | None
    timeline: Timeline


@dataclass(frozen=True, slots=True)
class NeedsInput:
    """Facts are open that only people can give."""

    issue_key: str
    missing: tuple[MissingInput, ...]


def analyse(
    issue_key: str,
    summary: str,
    description: Description,
    labels: Sequence[str],
    *,
    answers: Mapping[str, str],
) -> Analysed | NeedsInput | Unsupported:
    """Read a ticket. The same input always gives the same result.

    `description` is Markdown, Jira wiki markup or ADF, in English or Korean. `answers` are by field name on the wire,
    e.g. `backupRetentionDays`; they replace whatever the text says about that field.
    """
    lines = lines_of(description)
    stated = facts_of(lines, labels)
    if beyond := outside(summary, lines, labels, facts=stated, answer=answers.get("engine")):
        return beyond
    facts = [fact for fact in stated if fact.field not in answers] + _answered(answers)
    known: dict[str, object] = {}
    missing: list[MissingInput] = []
    for field in QUESTIONS:
        found = [fact for fact in facts if fact.field == field]
        if problem := _problem(field, found):
            missing.append(problem)
        elif found:
            known[field] = found[0].value
    if missing:
        return NeedsInput(issue_key, tuple(missing))
    return _specified(issue_key, known, facts, timeline_of(lines))


def _answered(answers: Mapping[str, str]) -> list[Fact]:
    facts: list[Fact] = []
    for field, answer in answers.items():
        if topic := _ANSWERED_BY.get(field):
            try:
                facts += [Fact(name, value, answer) for name, value in read(topic, answer) if name == field]
            except UnreadableError:
                facts.append(Fact(field, None, answer))
    return facts


def _problem(field: str, found: list[Fact]) -> MissingInput | None:
    if not found and field not in _OPTIONAL:
        return MissingInput(field=field, question=QUESTIONS[field], cause="missing")
    if unreadable := [fact.words for fact in found if fact.value is None]:
        return _open(field, "invalid", unreadable)
    if any(fact.value != found[0].value for fact in found):
        return _open(field, "contradiction", [fact.words for fact in found])
    return None


def _open(field: str, cause: str, words: Iterable[str]) -> MissingInput:
    found = tuple(dict.fromkeys(map(_quoted, words)))
    return MissingInput.model_validate({"field": field, "question": QUESTIONS[field], "cause": cause, "found": found})


def _quoted(words: str) -> str:
    """Return visible characters only, on one line, at most 120 of them."""
    visible = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in words)
    return " ".join(visible.split())[:_LONGEST_QUOTE] or "(nothing visible)"


def _specified(
    issue_key: str, known: dict[str, object], facts: list[Fact], timeline: Timeline
) -> Analysed | NeedsInput:
    budget, environment, engine = known.pop("budget", None), known["environment"], known["engine"]
    assert isinstance(environment, Environment)
    assert isinstance(engine, DatabaseEngine)
    assert isinstance(budget, Budget | None)
    known.setdefault("identifier", f"{environment.prefix}-db-{engine.slug}")
    try:
        spec = DatabaseSpec.model_validate(known)
    except ValidationError as error:
        return NeedsInput(issue_key, _out_of_range(error, facts))
    return Analysed(issue_key, spec, environment, budget, timeline)


def _out_of_range(error: ValidationError, facts: list[Fact]) -> tuple[MissingInput, ...]:
    """Return what to ask where a value is outside the limits of RDS; the one rule across fields is about storage."""
    fields = dict.fromkeys(
        to_camel(str(problem["loc"][0])) if problem["loc"] else "storageGb" for problem in error.errors()
    )
    return tuple(_open(field, "invalid", [fact.words for fact in facts if fact.field == field]) for field in fields)
