"""What a broker's refusal to declare something again says: which argument, what it has and what was asked for.

The text is all that AMQP tells. Its wording is one function's in every release from 3.10 to 4.x
(`rabbit_misc:assert_field_equivalence`), with and without the values' types.
"""

from __future__ import annotations

__all__ = ["Difference", "Inequivalence", "inequivalence", "value_text"]

import re
from dataclasses import dataclass

Value = str | int | bool | None

_TEXT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?P<kind>queue|exchange) '(?P<name>.+?)' in vhost '.*?': "
    r"received (?P<wants>.+) but current is (?P<has>.+?)\"?$",
    re.DOTALL,
)
_VALUE = re.compile(r"(?:the value )?'(?P<value>.*?)'(?: of type '(?P<type>\w+)')?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Difference:
    """One argument; None means: none."""

    argument: str
    has: Value
    wants: Value

    def __str__(self) -> str:
        return f"{self.argument}: has {value_text(self.has)}, wants {value_text(self.wants)}"


@dataclass(frozen=True, slots=True)
class Inequivalence:
    """A refusal; only the first differing argument is in it."""

    kind: str
    """`queue` or `exchange`."""
    name: str
    difference: Difference

    def __str__(self) -> str:
        return (
            f"{self.kind} '{self.name}' on the broker differs from what was asked for, and cannot be changed in place "
            f"({self.difference}); `interlock topology plan` shows all differences and what to do"
        )


def inequivalence(text: str) -> Inequivalence | None:
    """Read a PRECONDITION_FAILED; None when it says something else."""
    found = _TEXT.search(text.strip())
    if found is None:
        return None
    difference = Difference(found["argument"], _value(found["has"]), _value(found["wants"]))
    return Inequivalence(found["kind"], found["name"], difference)


def value_text(value: Value) -> str:
    """Return a value as it is shown to people."""
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(text: str) -> Value:
    found = _VALUE.fullmatch(text.strip())
    if found is None:
        return None if text.strip() == "none" else text.strip()
    value, type_ = found["value"], found["type"]
    if type_ == "bool" or (type_ is None and value in {"true", "false"}):
        return value == "true"
    if type_ not in {"longstr", "binary"} and re.fullmatch(r"-?\d+", value):
        return int(value)
    return value
