"""A small, strict part of JQL: what it does not understand it refuses in Jira's words, never ignores.

Understood: `field op value` joined by AND, with `=`, `!=`, `~`, `in (…)`, `not in (…)`, and ORDER BY. The forms are
those of "Advanced search reference - JQL" for Data Center; this module knows neither HTTP nor how issues are stored.
"""

from __future__ import annotations

__all__ = ["Clause", "JqlError", "Query", "parse"]

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(!=|=|~|\(|\)|,)|([^\s"=!~(),]+))')
_FIELDS = {"project", "issuetype", "status", "labels", "key", "summary", "assignee"}
_ALIASES = {"type": "issuetype", "issue": "key", "issuekey": "key", "label": "labels"}
_ORDERS = {"created", "key", "updated"}


class JqlError(Exception):
    """Raised for a query that this part of JQL cannot answer; the text is the one that Jira gives."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"Error in the JQL Query: {problem}")


@dataclass(frozen=True, slots=True)
class Clause:
    """One condition."""

    field: str
    operator: str
    values: tuple[str, ...]

    def holds(self, facts: Mapping[str, Sequence[str]]) -> bool:
        """Return whether an issue, given as field -> values, meets the condition; letters' case does not count."""
        present = {value.casefold() for value in facts[self.field]}
        wanted = {value.casefold() for value in self.values}
        if self.operator == "~":
            words = set(re.findall(r"\w+", " ".join(present)))
            return all(set(re.findall(r"\w+", value)) <= words for value in wanted)
        return bool(present & wanted) is (self.operator in {"=", "in"})


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query."""

    clauses: tuple[Clause, ...]
    order: str = "created"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    kind: str
    """`string`, `sign`, `word` or `end`."""

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.casefold() in words


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = _split(text)

    def peek(self) -> _Token:
        return self._tokens[0] if self._tokens else _Token("", "end")

    def take(self) -> _Token:
        return self._tokens.pop(0) if self._tokens else _Token("", "end")

    def expect(self, sign: str) -> None:
        if (token := self.take()) != _Token(sign, "sign"):
            raise JqlError(f"Expecting '{sign}' but got '{token.text}'.")


def parse(text: str) -> Query:
    """Parse a query; an empty one finds everything. Raises JqlError."""
    tokens = _Tokens(text)
    clauses: list[Clause] = []
    while tokens.peek().kind != "end" and not tokens.peek().is_word("order"):
        if clauses and not tokens.take().is_word("and"):
            raise JqlError("Expecting either 'OR' or 'AND'; only 'AND' is understood here.")
        clauses.append(_clause(tokens))
    order, descending = _ordering(tokens)
    if (rest := tokens.take()).kind != "end":
        raise JqlError(f"Expecting the end of the query but got '{rest.text}'.")
    return Query(tuple(clauses), order, descending)


def _split(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise JqlError(f"The quoted string starting at character {position + 1} has not been completed.")
        string, sign, word = found.groups()
        if string is not None:
            tokens.append(_Token(re.sub(r"\\(.)", r"\1", string), "string"))
        else:
            tokens.append(_Token(sign or word, "sign" if sign else "word"))
        position = found.end()
    return tokens


def _clause(tokens: _Tokens) -> Clause:
    name = tokens.take()
    field = _ALIASES.get(name.text.casefold(), name.text.casefold())
    if name.kind not in {"word", "string"}:
        raise JqlError(f"Expecting a field name but got '{name.text}'.")
    if field not in _FIELDS:
        raise JqlError(f"Field '{name.text}' does not exist or you do not have permission to view it.")
    operator = tokens.take()
    if operator.is_word("in"):
        return Clause(field, "in", _values(tokens))
    if operator.is_word("not") and tokens.take().is_word("in"):
        return Clause(field, "not in", _values(tokens))
    if operator.kind != "sign" or operator.text not in {"=", "!=", "~"}:
        raise JqlError(f"Expecting operator but got '{operator.text}'. The valid operators are '=', '!=', '~', 'IN'.")
    if (operator.text == "~") != (field == "summary"):
        raise JqlError(f"The operator '{operator.text}' is not supported by the '{field}' field.")
    return Clause(field, operator.text, (_value(tokens),))


def _values(tokens: _Tokens) -> tuple[str, ...]:
    tokens.expect("(")
    values = [_value(tokens)]
    while tokens.peek() == _Token(",", "sign"):
        tokens.take()
        values.append(_value(tokens))
    tokens.expect(")")
    return tuple(values)


def _value(tokens: _Tokens) -> str:
    token = tokens.take()
    if token.kind not in {"word", "string"}:
        raise JqlError(f"Expecting either a value, list or function but got '{token.text}'.")
    return token.text


def _ordering(tokens: _Tokens) -> tuple[str, bool]:
    if tokens.peek().kind == "end":
        return "created", False
    tokens.take()
    if not tokens.take().is_word("by"):
        raise JqlError("Expecting 'by' after 'order'.")
    field = tokens.take().text.casefold()
    if field not in _ORDERS:
        raise JqlError(f"Not able to sort using field '{field}'.")
    if tokens.peek().is_word("asc", "desc"):
        return field, tokens.take().is_word("desc")
    return field, False
