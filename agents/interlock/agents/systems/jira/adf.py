"""The Atlassian Document Format as far as comments need it: text to a document, a document to text."""

from __future__ import annotations

__all__ = ["from_text", "plain_text"]

from collections.abc import Mapping
from typing import cast

from interlock.agents.systems.jira.issue import Description

_BLOCKS = frozenset({"paragraph", "heading", "listItem", "codeBlock", "tableRow", "blockquote"})


def from_text(text: str) -> dict[str, object]:
    """Return a document that shows the text as it is: blank lines part paragraphs, nothing is read as markup."""
    return {"version": 1, "type": "doc", "content": [_paragraph(part) for part in text.split("\n\n") if part.strip()]}


def _paragraph(text: str) -> dict[str, object]:
    content: list[dict[str, object]] = []
    for line in text.strip("\n").split("\n"):
        if content:
            content.append({"type": "hardBreak"})
        if line:
            content.append({"type": "text", "text": line})
    return {"type": "paragraph", "content": content}


def plain_text(body: Description) -> str:
    """Return the visible text, one line per block; text that is no document comes back as it is."""
    if isinstance(body, str):
        return body.replace("\r\n", "\n")
    return "\n\n".join(block for child in _children(body) if (block := _text(child).strip("\n")))


def _text(node: Mapping[str, object]) -> str:
    match node.get("type"):
        case "text":
            return str(node.get("text", ""))
        case "hardBreak":
            return "\n"
        case kind:
            inner = "".join(map(_text, _children(node)))
            return f"{inner}\n" if kind in _BLOCKS else inner


def _children(node: Mapping[str, object]) -> list[Mapping[str, object]]:
    content = node.get("content")
    if not isinstance(content, list):
        return []
    return [cast("Mapping[str, object]", child) for child in cast("list[object]", content) if isinstance(child, dict)]
