"""Which way the change took, and how long each step lasted."""

from __future__ import annotations

__all__ = ["states"]

from datetime import datetime, timedelta

from interlock.agents.report.markup import Markup, element
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import empty, section
from interlock.agents.report.text import clock_offset, duration
from interlock.agents.report.timeline import StateEntry


def states(report: Report) -> Markup:
    """The states in the order in which they were entered, each as a bar on one common scale."""
    if not report.states:
        return section("states", "Timeline", empty("No state was entered."))
    began = report.states[0].at
    ended = began + timedelta(seconds=sum(report.durations.by_state.values()))
    whole = max((ended - began).total_seconds(), 0.001)
    following = [*report.states[1:], StateEntry(state="", at=ended)]
    rows = (
        _row(entry, until=min(next_entry.at, ended), began=began, whole=whole)
        for entry, next_entry in zip(report.states, following, strict=True)
    )
    waiting = duration(report.durations.waiting_for_people)
    lead = f"{duration(report.durations.flow)} from the first message to the last, {waiting} of it waiting for people."
    return section("states", "Timeline", element("ol", *rows, class_="timeline"), lead=lead)


def _row(entry: StateEntry, *, until: datetime, began: datetime, whole: float) -> Markup:
    start, spent = (entry.at - began).total_seconds(), max((until - entry.at).total_seconds(), 0.0)
    bar = f"margin-left:{100 * start / whole:.2f}%;width:{100 * spent / whole:.2f}%"
    return element(
        "li",
        element("span", entry.state.replace("_", " "), class_="name"),
        element("span", clock_offset(start), class_="number"),
        element("span", element("i", style=bar), class_="track"),
        element("span", duration(spent) if spent else "", class_="number"),
    )
