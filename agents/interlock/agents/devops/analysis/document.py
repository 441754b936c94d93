"""Markdown, Jira wiki markup and ADF in one normal form: plain lines, each under its heading, without a meaning yet.

Struck-out text, code blocks and HTML comments are not part of what a ticket asks for. Marks are removed only where they
enclose whole words, so that cleaning never turns a broken name into a sound one.
"""

from __future__ import annotations

__all__ = ["Description", "Line", "lines_of"]

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

Description = str | Mapping[str, object]
"""Text, or a document in the Atlassian Document Format."""

_WIKI_HEADING = re.compile(r"\s*h[1-6]\.\s+(.*)")
_MARKDOWN_HEADING = re.compile(r"#{1,6}\s+(.*)")
_BULLET = re.compile(r"(?:[-*+•#]+|\d{1,3}[.)])\s+(?:\[[ xX]\]\s+)?")
_FENCE = re.compile(r"```|~~~|\{(?:code|noformat)(?::[^}]*)?\}")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_MACRO = re.compile(r"\{(?:panel|color|quote|info|note|tip|warning|expand)(?::[^}]*)?\}")
_STRUCK = re.compile(r"~~[^~]+~~|^-\S(?:.*\S)?-$")
_RULE = re.compile(r"[-=_*|:\s]{3,}")
_ENCLOSED = re.compile(r"(?<![^\s(|:])(?P<mark>\*\*|__|\*|`|\{\{)(?P<text>[^*`{}]+?)(?:(?P=mark)|\}\})(?![^\s),.;:|])")
_WIDE = str.maketrans({"：": ":", "（": "(", "）": ")", "，": ",", "\u00a0": " ", "\u3000": " "})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a ticket."""

    section: str
    """The nearest heading above, or an empty string."""
    text: str


def lines_of(description: Description) -> tuple[Line, ...]:
    """Return the lines that say something, in order."""
    section = ""
    lines: list[Line] = []
    for heading, raw in _of_text(description) if isinstance(description, str) else _of_node(description):
        text = _plain(raw)
        if heading:
            section = text.rstrip(":").strip()
        elif text:
            lines.append(Line(section, text))
    return tuple(lines)


def _of_text(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is a heading, text) for each line outside code; in wiki markup a leading `#` numbers a list."""
    fenced = False
    raws = _COMMENT.sub("", text).splitlines()
    pattern = _WIKI_HEADING if any(map(_WIKI_HEADING.match, raws)) else _MARKDOWN_HEADING
    for raw in raws:
        stripped = raw.strip()
        if len(_FENCE.findall(stripped)) % 2:
            fenced = not fenced
        elif not fenced and not _FENCE.match(stripped):
            heading = pattern.fullmatch(stripped)
            yield heading is not None, heading[1] if heading else _row(_BULLET.sub("", stripped, count=1))


def _row(text: str) -> str:
    """Return a table's row of two cells as `label: value`."""
    if not text.startswith("|"):
        return text
    cells = [cell.strip() for cell in re.split(r"\|+", text) if cell.strip()]
    return ": ".join(cells) if len(cells) == 2 else " ".join(cells)


def _of_node(node: Mapping[str, object]) -> Iterator[tuple[bool, str]]:
    """Yield (is a heading, text) for each block that holds text."""
    match node.get("type"):
        case "codeBlock":
            return
        case "heading":
            yield True, _inline(node)
        case "paragraph":
            for part in _inline(node).split("\n"):
                yield False, part
        case "tableRow":
            cells = [_inline(cell).replace("\n", " ").strip() for cell in _children(node)]
            yield False, _row(f"|{'|'.join(cells)}|")
        case _:
            for child in _children(node):
                yield from _of_node(child)


def _inline(node: Mapping[str, object]) -> str:
    """Return the text within a block; a line feed inside a text node is shown, since it never parts lines in Jira."""
    match node.get("type"):
        case "text":
            struck = any(mark.get("type") == "strike" for mark in _maps(node.get("marks")))
            return "" if struck else str(node.get("text", "")).replace("\n", "␤")
        case "hardBreak":
            return "\n"
        case "mention" | "status" | "emoji":
            attributes = cast("Mapping[str, object]", node.get("attrs") or {})
            return str(attributes.get("text", ""))
        case _:
            return "".join(map(_inline, _children(node)))


def _children(node: Mapping[str, object]) -> list[Mapping[str, object]]:
    return _maps(node.get("content"))


def _maps(value: object) -> list[Mapping[str, object]]:
    if not isinstance(value, list):
        return []
    return [cast("Mapping[str, object]", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def _plain(text: str) -> str:
    text = _MACRO.sub("", text.translate(_WIDE)).strip()
    text = _STRUCK.sub("", text)
    if _RULE.fullmatch(text):
        return ""
    while (cleaned := _ENCLOSED.sub(r"\g<text>", text)) != text:
        text = cleaned
    return text.strip()
