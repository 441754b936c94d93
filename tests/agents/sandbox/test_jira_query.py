"""The part of JQL that the emulator understands, and how it refuses the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.sandbox.jira_query import Clause, JqlError, Query, parse
from interlock.agents.systems.jira.jql import quote

FACTS = {
    "project": ["PROJ"],
    "issuetype": ["Incident"],
    "status": ["In Progress"],
    "labels": ["a", "b"],
    "key": ["PROJ-1"],
    "summary": ["API 응답 시간 증가"],
    "assignee": [],
}


def test_conditions_and_order_are_understood() -> None:
    query = parse('project = PROJ AND labels in ("a", b) and type != Story ORDER BY key DESC')

    assert query == Query(
        (Clause("project", "=", ("PROJ",)), Clause("labels", "in", ("a", "b")), Clause("issuetype", "!=", ("Story",))),
        order="key",
        descending=True,
    )
    assert all(clause.holds(FACTS) for clause in query.clauses)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ('status = "in progress"', True),
        ('status not in (Done, "To Do")', True),
        ("labels = c", False),
        ('summary ~ "응답 api"', True),
        ('summary ~ "unknown"', False),
    ],
)
def test_a_condition_holds_or_not(text: str, holds: bool) -> None:
    assert parse(text).clauses[0].holds(FACTS) is holds


@pytest.mark.parametrize(
    "text",
    [
        "project",
        "project =",
        "project = PROJ OR key = PROJ-1",
        "project = PROJ key = PROJ-1",
        "colour = red",
        'summary = "x"',
        "project ~ PROJ",
        'labels = "open',
        "labels in (a",
        "labels in ()",
        "project = PROJ ORDER key",
        "project = PROJ ORDER BY colour",
        "project = PROJ ORDER BY key DESC now",
    ],
)
def test_what_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(JqlError, match="Error in the JQL Query"):
        parse(text)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_a_quoted_value_comes_back_as_it_was(value: str) -> None:
    assert parse(f"labels = {quote(value)}").clauses == (Clause("labels", "=", (value,)),)
