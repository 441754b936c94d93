"""The facts that a ticket states, line by line, each with the words it came from; it settles no contradiction."""

from __future__ import annotations

__all__ = ["Fact", "facts_of", "mentions_of", "timeline_of"]

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from interlock.agents.devops.analysis.document import Line
from interlock.agents.devops.analysis.readers import FIELDS, UnreadableError, hours_of, read
from interlock.agents.devops.analysis.vocabulary import (
    FALSE,
    HEADINGS,
    LABELS,
    PHASES,
    STATEMENTS,
    TRUE,
    Topic,
    environment_of,
    normalised,
)
from interlock.protocol.infrastructure import Timeline

_LABELLED = re.compile(r"([^:]{1,60}):\s*(.+)")
_PERIOD = re.compile(r"month|/\s*mo\b|월", re.IGNORECASE)
_NEGATED = re.compile(r"(?:no|without) (.+)")


@dataclass(frozen=True, slots=True)
class Fact:
    """One field as one line states it."""

    field: str
    """The field's name on the wire."""
    value: object
    """None when the words could not be understood."""
    words: str
    """The value as written, or the whole line where it has no label."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A line that is about a topic, before its value is read."""

    topic: Topic
    value: str
    words: str


def facts_of(lines: Iterable[Line], labels: Iterable[str]) -> tuple[Fact, ...]:
    """Return every fact, in the order of the lines; the ticket's labels may name the environment."""
    facts = [fact for mention in mentions_of(lines) for fact in _facts(mention)]
    named = [(label, environment_of(label)) for label in labels]
    return (*facts, *(Fact("environment", value, f"label {label}") for label, value in named if value))


def _facts(mention: Mention) -> list[Fact]:
    try:
        readings = read(mention.topic, mention.value)
    except UnreadableError:
        return [Fact(field, None, mention.words) for field in FIELDS[mention.topic]]
    return [Fact(field, value, mention.words) for field, value in readings]


def mentions_of(lines: Iterable[Line]) -> Iterator[Mention]:
    """Yield what each line is about; lines about nothing known are passed over."""
    for line in lines:
        match HEADINGS.get(normalised(line.section)):
            case Topic.TIMELINE:
                mention = None
            case Topic.BUDGET:
                mention = _budget_line(line.text)
            case Topic.ENVIRONMENT if environment_of(line.text):
                mention = Mention(Topic.ENVIRONMENT, line.text, line.text)
            case _:
                mention = _labelled(line.text) or _statement(line.text)
        if mention:
            yield mention


def _labelled(text: str) -> Mention | None:
    found = _LABELLED.fullmatch(text)
    topic = LABELS.get(normalised(found[1])) if found else None
    if found is None or topic is None:
        return None
    if topic is Topic.BUDGET and not _PERIOD.search(text):
        return None
    return Mention(topic, found[2].strip(), text if topic is Topic.PUBLIC else found[2].strip())


def _budget_line(text: str) -> Mention | None:
    """Return a cost section's sum: a line with a number and without a label, or with one that names the whole."""
    found = _LABELLED.fullmatch(text)
    if found is not None:
        whole = LABELS.get(normalised(found[1])) is Topic.BUDGET
        return Mention(Topic.BUDGET, found[2], text) if whole else None
    return Mention(Topic.BUDGET, text, text) if re.search(r"\d", text) else None


def _statement(text: str) -> Mention | None:
    """Return what a line without a colon states: `No public access`, `SSL/TLS required`, `다중 AZ 사용`."""
    plain = normalised(text)
    if plain in STATEMENTS:
        topic, value = STATEMENTS[plain]
        return Mention(topic, value, text)
    negated = _NEGATED.fullmatch(plain)
    if negated and (denied := LABELS.get(negated[1])):
        return Mention(denied, "no", text)
    for label, about in LABELS.items():
        answer = plain.removeprefix(f"{label} ")
        if answer != plain and answer in TRUE | FALSE:
            return Mention(about, answer, text)
    return None


def timeline_of(lines: Iterable[Line]) -> Timeline:
    """Return the hours of each phase that the timeline names in hours or minutes."""
    hours: dict[str, float | None] = {}
    for line in lines:
        found = _LABELLED.fullmatch(line.text)
        if found and HEADINGS.get(normalised(line.section)) is Topic.TIMELINE:
            phase = PHASES.get(normalised(found[1]))
            if phase:
                hours[phase] = hours_of(found[2])
    return Timeline.model_validate(hours)
