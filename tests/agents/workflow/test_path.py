"""The way through the states is read from the audit trail, and explained by the table."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from agents.workflow.loan import Loan
from interlock.agents.coordinator.change import Change
from interlock.agents.workflow.path import Visit, path_taken
from interlock.bus.store.records import AuditEntry, AuditRow
from store_rows import START


def trail(*lines: tuple[float, str, str, str]) -> list[AuditRow]:
    """Return audit lines from seconds, actor, action and state."""
    return [
        AuditRow(
            number,
            START + timedelta(seconds=at),
            AuditEntry("c", actor, action, {"state": state} if state else {}),
            "",
            "",
        )
        for number, (at, actor, action, state) in enumerate(lines, start=1)
    ]


def test_without_a_history_there_is_no_path() -> None:
    assert path_taken(Loan.table, []) == ()


def test_each_stay_says_when_how_long_because_of_what_and_where_else_it_might_have_gone() -> None:
    path = path_taken(
        Change.table,
        trail(
            (0, "console", "requested", ""),
            (0, "console", "entered", "analysing"),
            (2, "devops-agent", "entered", "over_budget"),
            (60, "console", "approved", ""),
            (60, "console", "entered", "estimated"),
        ),
    )
    assert [(visit.state, visit.seconds, visit.by) for visit in path] == [
        ("received", 0.0, ""),
        ("analysing", 2.0, "console"),
        ("over_budget", 58.0, "devops-agent"),
        ("estimated", None, "console"),
    ]
    assert path[1].triggers == ("change_requested",)
    assert path[2].triggers == ("cost_estimate_ready",)
    assert path[3].triggers == ("approval_granted",)
    assert "estimated" in path[1].not_taken
    assert "over_budget" not in path[1].not_taken


def test_a_state_that_is_entered_again_is_a_stay_of_its_own() -> None:
    lines = [(0.0, "console", "requested", ""), (1.0, "console", "entered", "analysing")]
    for second in (2.0, 4.0):
        lines += [
            (second, "devops-agent", "entered", "input_required"),
            (second + 1, "console", "entered", "analysing"),
        ]
    path = path_taken(Change.table, trail(*lines))
    assert [(visit.state, visit.time) for visit in path if visit.state == "analysing"] == [
        ("analysing", 1),
        ("analysing", 2),
        ("analysing", 3),
    ]


def test_what_the_trail_says_of_a_trigger_goes_before_what_the_table_allows() -> None:
    lines = trail((0, "console", "requested", ""), (9, "coordinator", "entered", "analysing"))
    said = replace(lines[1], entry=replace(lines[1].entry, details={"state": "closing", "trigger": "timeout: overdue"}))
    path = path_taken(Change.table, [lines[0], said])
    assert path[-1].triggers == ("timeout: overdue",)


def test_states_of_another_release_are_passed_over() -> None:
    path = path_taken(Loan.table, trail((0, "reader-agent", "lent", ""), (0, "reader-agent", "entered", "burnt")))
    assert path == (Visit("on_the_shelf", START, not_taken=("lent",)),)
