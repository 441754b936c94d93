"""Under which circumstances it ran, and what it therefore does not prove."""

from __future__ import annotations

__all__ = ["environment"]

from interlock.agents.report.markup import Markup, element
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import empty, section
from interlock.agents.report.text import duration


def environment(report: Report) -> Markup:
    """Processes, broker, engine and times, and the notes on what was not proven."""
    lead = (
        f"{report.broker.kind} broker {report.broker.version}; {report.engine} as engine; "
        f"{report.process_layout}; "
        f"{duration(report.durations.total)} in all, start and stop included."
    )
    processes = (
        element("div", element("dt", agent), element("dd", str(process))) for agent, process in report.processes.items()
    )
    return section(
        "environment",
        "Processes, broker and engine",
        element("dl", *processes, class_="facts small", title="Process ids") if report.processes else None,
        element("h3", "What was not proven"),
        element("ul", *(element("li", note) for note in report.notes), class_="notes")
        if report.notes
        else empty("Nothing was left open."),
        lead=lead,
    )
