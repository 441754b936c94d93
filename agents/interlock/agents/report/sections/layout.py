"""What all parts of the page are made of: a section with a heading, a table, a fold, a moment."""

from __future__ import annotations

__all__ = ["code", "document", "empty", "fold", "moment", "section", "table", "verdict_mark"]

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from pydantic import JsonValue

from interlock.agents.report.markup import Markup, element
from interlock.protocol.values import CheckVerdict

_MARKS = {CheckVerdict.PASS: "✓", CheckVerdict.FAIL: "✗", CheckVerdict.WAIVED: "–", CheckVerdict.UNKNOWN: "?"}

Cell = str | None


def section(anchor: str, title: str, *children: Cell, lead: Cell = None) -> Markup:
    """A part of the page under its heading; `lead` is the sentence that sums it up."""
    opening = None if lead is None else element("p", lead, class_="lead")
    return element("section", element("h2", title), opening, *children, id=anchor)


def table(headings: Sequence[str], rows: Iterable[Sequence[Cell]], *, numeric: Sequence[int] = ()) -> Markup:
    """A table; `numeric` are the indices of the columns that are aligned as numbers."""

    def cells(tag: str, row: Sequence[Cell]) -> Iterable[Markup]:
        return (element(tag, cell, class_="number" if index in numeric else None) for index, cell in enumerate(row))

    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", *cells("th", headings))),
            element("tbody", *(element("tr", *cells("td", row)) for row in rows)),
        ),
        class_="scroll",
    )


def fold(summary: Cell, *children: Cell, anchor: str | None = None, opened: bool = False) -> Markup:
    """Something to be unfolded by the reader; a link to the anchor unfolds it as well."""
    return element("details", element("summary", summary), *children, id=anchor, open=opened)


def document(value: JsonValue) -> Markup:
    """A JSON value, indented."""
    return element("pre", element("code", json.dumps(value, ensure_ascii=False, indent=2)))


def code(text: str) -> Markup:
    """A name or digest as machines write it."""
    return element("code", text)


def empty(text: str) -> Markup:
    """Say that there is nothing, in words."""
    return element("p", text, class_="empty")


def moment(at: datetime) -> Markup:
    """A moment in UTC, with the full value for machines."""
    return element("time", at.strftime("%Y-%m-%d %H:%M:%S"), datetime=at.isoformat(), title=at.isoformat())


def verdict_mark(verdict: CheckVerdict) -> Markup:
    """A verdict as sign, word and colour: none of them alone carries the meaning."""
    return element("span", f"{_MARKS[verdict]} {verdict}", class_=f"verdict {verdict}")
