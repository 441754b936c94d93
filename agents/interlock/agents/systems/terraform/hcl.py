"""A small typed writer of HCL in the form that `terraform fmt` gives; it knows no provider.

Text is always quoted and escaped here, so a value can never become an expression: only a Reference is one.
"""

from __future__ import annotations

__all__ = ["Attribute", "Block", "Call", "Expression", "Reference", "Template", "write"]

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from interlock.protocol.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_TRAVERSAL = re.compile(r'[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*|\[[0-9]+\]|\["[A-Za-z0-9_-]+"\])*')
_ESCAPED = re.compile(r'["\\]|[$%](?=\{|\Z)|[\x00-\x1f\x7f-\x9f\u2028\u2029]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A traversal such as `aws_kms_key.rds.arn`, optionally inside one function call.

    Raises UsageError when the address is anything else, so no text from outside can pass as an expression.
    """

    address: str
    function: str | None = None

    def __post_init__(self) -> None:
        if not _TRAVERSAL.fullmatch(self.address):
            raise UsageError(f"{self.address!r} is not a reference; write text as a plain string")
        if self.function is not None and not _NAME.fullmatch(self.function):
            raise UsageError(f"{self.function!r} is not the name of a function")

    def __str__(self) -> str:
        return self.address if self.function is None else f"{self.function}({self.address})"


@dataclass(frozen=True, slots=True, init=False)
class Template:
    """Text with references in it, e.g. `Template("prod-", Reference("terraform_data.x.id"))`."""

    parts: tuple[str | Reference, ...]

    def __init__(self, *parts: str | Reference) -> None:
        object.__setattr__(self, "parts", parts)


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to one expression, e.g. `jsonencode({...})`."""

    function: str
    argument: Expression


Expression = str | int | bool | Reference | Template | Call | Sequence["Expression"] | Mapping[str, "Expression"]
"""What may stand on the right of an attribute. A sequence is written on one line, a mapping on several."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """`name = value`."""

    name: str
    value: Expression


@dataclass(frozen=True, slots=True, init=False)
class Block:
    """`type "label" { ... }`; attributes and blocks keep their order."""

    type: str
    labels: tuple[str, ...]
    body: tuple[Attribute | Block, ...] = field(default=())

    def __init__(
        self, type_: str, *labels: str, attributes: Mapping[str, Expression] | None = None, blocks: Iterable[Block] = ()
    ) -> None:
        written = (Attribute(name, value) for name, value in (attributes or {}).items())
        object.__setattr__(self, "type", type_)
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "body", (*written, *blocks))


def write(*blocks: Block) -> str:
    """Return the text of a file. Raises UsageError for a name that HCL does not allow."""
    return "\n".join("\n".join(_block(block)) + "\n" for block in blocks)


def _block(block: Block) -> list[str]:
    head = " ".join((_name(block.type), *(_quoted(label) for label in block.labels)))
    if not block.body:
        return [f"{head} {{}}"]
    return [f"{head} {{", *_indented(_body(block.body)), "}"]


def _body(items: Sequence[Attribute | Block]) -> list[str]:
    """Lay items out: runs of one-line attributes are aligned, everything taller stands between blank lines."""
    lines: list[str] = []
    run: list[tuple[str, str]] = []

    def flush() -> None:
        width = max((len(name) for name, _ in run), default=0)
        lines.extend(f"{name:<{width}} = {text}" for name, text in run)
        run.clear()

    for item in items:
        if isinstance(item, Attribute):
            name, value = _name(item.name), _expression(item.value)
            if len(value) == 1:
                if not run and lines:
                    lines.append("")
                run.append((name, value[0]))
                continue
            tall = [f"{name} = {value[0]}", *value[1:]]
        else:
            tall = _block(item)
        flush()
        if lines:
            lines.append("")
        lines.extend(tall)
    flush()
    return lines


def _expression(value: Expression) -> list[str]:
    """Return the lines of an expression, the first without indentation."""
    match value:
        case bool():
            return ["true" if value else "false"]
        case int() | Reference():
            return [str(value)]
        case str():
            return [_quoted(value)]
        case Template():
            inner = (_escaped(part) if isinstance(part, str) else f"${{{part}}}" for part in value.parts)
            return [f'"{"".join(inner)}"']
        case Call():
            first, *rest = _expression(value.argument)
            lines = [f"{_name(value.function)}({first}", *rest]
            return [*lines[:-1], f"{lines[-1]})"]
        case Mapping():
            return ["{", *_indented(_body([Attribute(key, inner) for key, inner in value.items()])), "}"]
        case _:
            return [f"[{', '.join(_single(inner) for inner in value)}]"]


def _single(value: Expression) -> str:
    lines = _expression(value)
    if len(lines) > 1:
        raise UsageError("a list holds one-line values only; give mappings a block of their own")
    return lines[0]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"  {line}" if line else "" for line in lines]


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    # A code point instead of the customary `$${`: after a dollar sign that form is read as an interpolation again.
    return _ESCAPED.sub(lambda match: _SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}", text)


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name that HCL allows")
    return name
