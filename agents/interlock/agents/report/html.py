"""The report as one page that needs nothing else: no script, no font, no image from anywhere."""

from __future__ import annotations

__all__ = ["page"]

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from interlock.agents.report import sections
from interlock.agents.report.markup import Markup, element
from interlock.agents.report.report import Report
from interlock.protocol.envelope import Envelope

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content Security Policy, level 3: should text ever become markup, the browser still loads and runs nothing."""

_CONTENTS = (
    ("states", "Timeline"),
    ("messages", "Messages"),
    ("architecture", "Architecture"),
    ("plan", "Plan"),
    ("checks", "Checklist"),
    ("cost", "Cost"),
    ("approvals", "Approvals"),
    ("jira", "Jira"),
    ("resources", "Resources"),
    ("environment", "Environment"),
)


def page(report: Report, *, envelopes: Sequence[Envelope[Any]], diagram: bytes | None) -> str:
    """Return the page as HTML.

    `envelopes` are the conversation that the report was built from; `diagram` is a PNG, None when there was nothing
    to draw.
    """
    style = files("interlock.agents.report").joinpath("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{report.jira_issue} {report.outcome.value.replace('_', ' ')}"),
        element("style", Markup(style)),
    )
    contents = [entry for entry in _CONTENTS if diagram is not None or entry[0] != "architecture"]
    links = (element("a", title, href=f"#{anchor}") for anchor, title in contents)
    body = element(
        "body",
        sections.banner(report),
        element("nav", *links, aria_label="Contents"),
        element(
            "main",
            sections.states(report),
            sections.messages(report, envelopes),
            sections.architecture(diagram),
            sections.plan(report),
            sections.checks(report),
            sections.cost(report),
            sections.approvals(report),
            sections.jira(report),
            sections.resources(report),
            sections.environment(report),
        ),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
