"""The parts of a document that the tests execute: fenced blocks, each below a comment that names it."""

from __future__ import annotations

__all__ = ["ROOT", "named_blocks", "python_blocks"]

import re
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

_NAMED = re.compile(r"<!-- (?P<name>[a-z]+: [\w.-]+) -->\n```\w+\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def named_blocks(document: Path) -> Mapping[str, str]:
    """Return the code below each `<!-- file: … -->` and `<!-- run: … -->`, by that name."""
    found = [(match["name"], match["code"]) for match in _NAMED.finditer(document.read_text(encoding="utf-8"))]
    names = [name for name, _ in found]
    assert len(set(names)) == len(names), f"{document.name} names a block twice: {names}"
    return dict(found)


def python_blocks(document: Path) -> tuple[str, ...]:
    """Return all Python code, named or not."""
    return tuple(_PYTHON.findall(document.read_text(encoding="utf-8")))
