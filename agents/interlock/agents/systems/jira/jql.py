"""JQL made of quoted literals: no value can end its own string; this module knows no field's meaning.

Escapes as documented under "Advanced search reference - JQL: special characters": within double quotes a backslash
escapes a quote or itself.
"""

from __future__ import annotations

__all__ = ["contains", "equals", "one_of", "quote"]

import re
from collections.abc import Sequence

from interlock.protocol.errors import UsageError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TEXT_OPERATORS = re.compile(r"[^\w\s.-]+")


def quote(value: str) -> str:
    """Return the value as one JQL string literal. Raises UsageError for control characters, which JQL cannot hold."""
    if _CONTROL.search(value):
        raise UsageError(f"a JQL value may not hold control characters: {value!r}")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def equals(field: str, value: str) -> str:
    """Return `field = "value"`."""
    return f"{field} = {quote(value)}"


def one_of(field: str, values: Sequence[str]) -> str:
    """Return `field in ("a", "b")`."""
    return f"{field} in ({', '.join(map(quote, values))})"


def contains(field: str, words: str) -> str:
    """Return `field ~ "words"`, without what Lucene takes for an operator: signs, and AND, OR, NOT in capitals."""
    plain = " ".join(_TEXT_OPERATORS.sub(" ", words).split())
    return f"{field} ~ {quote(plain.lower())}"
