"""How it ended, at one glance."""

from __future__ import annotations

__all__ = ["banner"]

from collections.abc import Iterator

from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import moment
from interlock.agents.report.telling import verdicts
from interlock.agents.report.text import counted, duration

_SANDBOX = "Local emulators stood in for the outside systems: nothing was created in a cloud, and nothing is billed."


def banner(report: Report) -> Markup:
    """The outcome with its reason, the facts that people ask for first, and what is still missing."""
    missing = [
        element("li", element("strong", fact.field), f" — {fact.question}", _found(fact.found))
        for fact in report.missing
    ]
    return element(
        "header",
        element(
            "p",
            element("span", report.jira_issue, class_="issue"),
            element("span", "sandbox", class_="badge") if report.sandbox else None,
            moment(report.started_at),
            " UTC",
            class_="eyebrow",
        ),
        element("h1", report.jira.summary or report.jira_issue),
        element(
            "div",
            element("strong", report.outcome.value.replace("_", " ")),
            element("p", report.reason),
            class_=f"outcome {report.outcome}",
        ),
        element("ul", *missing, class_="missing") if missing else None,
        element("dl", *(_fact(name, value, note) for name, value, note in _facts(report)), class_="facts"),
        element("p", _SANDBOX, class_="empty") if report.sandbox else None,
    )


def _facts(report: Report) -> Iterator[tuple[str, str, str]]:
    times = report.durations
    waiting = f"{duration(times.waiting_for_people)} of it waiting for people"
    yield "Flow", duration(times.flow), waiting
    if report.estimate is not None:
        budget = report.estimate.budget
        limit = f"of {budget.monthly} {budget.currency} budgeted" if budget else "no budget given"
        yield "Cost a month", f"{report.estimate.monthly} {report.estimate.currency}", limit
    yield "Checks", str(len(report.checks)), verdicts(report.checks) or "none reported"
    agents = counted(len(report.processes), "agent")
    yield "Messages", str(len(report.messages)), f"{agents}, {report.process_layout}"
    yield "Engine", report.engine, f"{report.broker.kind} broker"


def _fact(name: str, value: str, note: str) -> Markup:
    return element("div", element("dt", name), element("dd", value, element("small", note)))


def _found(found: tuple[str, ...]) -> Markup | None:
    return fragment(" Found: ", element("q", ", ".join(found))) if found else None
