"""Which checks passed, failed or stayed open, each with what proves it."""

from __future__ import annotations

__all__ = ["checks"]

import re
from itertools import groupby

from interlock.agents.report.checklist import ReportedCheck, worst
from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import code, empty, section, verdict_mark
from interlock.agents.report.telling import verdicts


def checks(report: Report) -> Markup:
    """The checklist grouped by id; the gravest verdict of a group stands beside it."""
    if not report.checks:
        return section("checks", "Checklist", empty("No check was reported."))
    ordered = sorted(report.checks, key=lambda check: _natural(check.id))
    bodies = [_group(identifier, tuple(group)) for identifier, group in groupby(ordered, key=lambda check: check.id)]
    headings = ("", "Check", "Verdict", "Evidence", "Looked at by")
    grid = element("table", element("thead", element("tr", *(element("th", heading) for heading in headings))), *bodies)
    lead = f"{verdicts(report.checks)}. What is unknown never counts as passed."
    return section("checks", "Checklist", element("div", grid, class_="scroll"), lead=lead)


def _group(identifier: str, group: tuple[ReportedCheck, ...]) -> Markup:
    rows = [
        element(
            "tr",
            element("th", code(identifier), rowspan=len(group), scope="rowgroup") if number == 0 else None,
            element("td", check.title),
            element("td", verdict_mark(check.verdict)),
            element("td", check.evidence),
            element("td", fragment(check.agent, element("small", check.stage))),
            class_=check.verdict,
        )
        for number, check in enumerate(group)
    ]
    return element("tbody", *rows, class_=worst(check.verdict for check in group))


def _natural(identifier: str) -> tuple[bool, tuple[int | str, ...]]:
    """Order the infrastructure checklist by number, before everything else by name."""
    numbered = re.fullmatch(r"([A-Z])([0-9]+)", identifier)
    return (False, (numbered[1], int(numbered[2]))) if numbered else (True, (identifier.casefold(),))
