"""docs/reference/errors.md as the code says it: `PYTHONPATH=tests python -m docs.error_reference`."""

from __future__ import annotations

__all__ = ["DOCUMENT", "error_reference"]

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reference" / "errors.md"

_PREFACE = """# Errors and codes

An error says what happened, to which id, and what to do next; never a secret or a payload. Its class says what the
caller does:

| class | what to do |
|---|---|
{classes}

Generated from the code by `make reference`.
"""
_CALLERS = ("TransientError", "PermanentError", "UsageError", "UnknownOutcomeError")


@dataclass(frozen=True, slots=True)
class _Class:
    name: str
    bases: tuple[str, ...]
    module: str
    text: str
    members: tuple[tuple[str, str, str], ...]
    """Name, value and meaning of an enumeration's."""


def error_reference() -> str:
    """Return the whole document."""
    classes = {found.name: found for found in _classes()}
    parts = [_PREFACE.format(classes="\n".join(f"| `{name}` | {_sentence(classes[name].text)} |" for name in _CALLERS))]
    for caller in _CALLERS:
        rows = [
            f"| `{found.name}` | `{found.module}` | {_sentence(found.text)} |"
            for found in sorted(classes.values(), key=lambda found: found.name)
            if caller != found.name and caller in _ancestry(found, classes)
        ]
        parts.append("\n".join([f"## {caller}\n", "| error | from | |", "|---|---|---|", *rows, ""]))
    parts.append(_codes("Rejection codes", classes["RejectionCode"], "Why a message was parked instead of taken in."))
    parts.append(_codes("Exit codes", classes["ExitCode"], "What every command tells the shell."))
    return "\n".join(parts)


def _codes(title: str, found: _Class, introduction: str) -> str:
    rows = [f"| `{value}` | {meaning or name.replace('_', ' ').lower()} |" for name, value, meaning in found.members]
    return "\n".join([f"## {title}\n", f"{introduction}\n", "| code | |", "|---|---|", *rows, ""])


def _classes() -> Iterator[_Class]:
    for folder in ("protocol", "bus", "agents"):
        for file in sorted((ROOT / folder / "interlock").rglob("*.py")):
            module = ".".join(file.relative_to(ROOT / folder).with_suffix("").parts)
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    yield _Class(
                        node.name,
                        tuple(ast.unparse(base).rpartition(".")[2] for base in node.bases),
                        module,
                        ast.get_docstring(node) or "",
                        tuple(_members(node)),
                    )


def _members(node: ast.ClassDef) -> Iterator[tuple[str, str, str]]:
    for place, statement in enumerate(node.body):
        match statement, node.body[place + 1 : place + 2]:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)), [
                ast.Expr(value=ast.Constant(value=str(text)))
            ]:
                yield name, str(value), " ".join(text.split())
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=value)), _:
                yield name, str(value), ""
            case _:
                pass


def _ancestry(found: _Class, classes: Mapping[str, _Class]) -> set[str]:
    above = set(found.bases)
    for base in found.bases:
        if base in classes:
            above |= _ancestry(classes[base], classes)
    return above


def _sentence(text: str) -> str:
    first = " ".join(text.partition("\n\n")[0].split())
    said = first.removeprefix("Raised ").replace("|", "\\|")
    return said[:1].upper() + said[1:]


if __name__ == "__main__":
    DOCUMENT.write_text(error_reference(), encoding="utf-8")
