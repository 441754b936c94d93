"""The little of Jira's wiki markup that agents write, as an Atlassian document: Cloud shows no markup, only nodes."""

from __future__ import annotations

__all__ = ["to_document"]

import re
from collections.abc import Iterator

Node = dict[str, object]

_HEADING = re.compile(r"h([1-6])\. (.*)")
_ITEM = re.compile(r"([*#]+) (.*)")
_CODE = re.compile(r"\{\{(.+?)\}\}")
_ESCAPED = re.compile(r"\\([{}\[\]|*_~^!#])")
_SIGNS = {"(/)": "✅", "(x)": "❌", "(!)": "⚠️", "(?)": "❓"}


def to_document(text: str) -> Node:
    """Return headings, lists, monospaced words and paragraphs as nodes; what was escaped is shown as it is."""
    return {"version": 1, "type": "doc", "content": list(_blocks(text))}


def _blocks(text: str) -> Iterator[Node]:
    items: list[Node] = []
    kind = ""
    for line in [*text.split("\n"), ""]:
        item = _ITEM.fullmatch(line)
        wanted = ("orderedList" if item[1].startswith("#") else "bulletList") if item else ""
        if items and wanted != kind:
            yield {"type": kind, "content": items}
            items = []
        kind = wanted
        if item:
            items.append({"type": "listItem", "content": [_paragraph(item[2])]})
        elif heading := _HEADING.fullmatch(line):
            yield {"type": "heading", "attrs": {"level": int(heading[1])}, "content": list(_words(heading[2]))}
        elif line.strip():
            yield _paragraph(line)


def _paragraph(line: str) -> Node:
    return {"type": "paragraph", "content": list(_words(line))}


def _words(line: str) -> Iterator[Node]:
    position = 0
    for code in _CODE.finditer(line):
        yield from _text(_shown(line[position : code.start()]))
        yield from ({**node, "marks": [{"type": "code"}]} for node in _text(_unescaped(code[1])))
        position = code.end()
    yield from _text(_shown(line[position:]))


def _text(text: str) -> Iterator[Node]:
    """A text node may not be empty."""
    if text:
        yield {"type": "text", "text": text}


def _shown(text: str) -> str:
    for sign, emoji in _SIGNS.items():
        text = text.replace(sign, emoji)
    return _unescaped(text)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(r"\1", text).replace("&#92;", "\\")
