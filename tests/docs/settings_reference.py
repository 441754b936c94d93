"""The table of settings in docs/operations.md: `python -m docs.settings_reference` brings it up to date in place."""

from __future__ import annotations

__all__ = ["DOCUMENT", "settings_reference", "table_of"]

import ast
import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from interlock.agents.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"

_BETWEEN = re.compile(r"(?<=<!-- settings begin -->\n).*?(?=<!-- settings end -->)", re.DOTALL)


def settings_reference() -> str:
    """Return one table row for each setting, by the name that it has in `interlock.toml`."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        if _is_section(field.annotation):
            rows.append(f"| **[{name}]** | | {_summary(field.annotation)} |")
            rows += _section(name, field.annotation)
        else:
            rows.append(f"| `{name}` | {_shown(field.default)} | {_meanings(Settings).get(name, '')} |")
    return "\n".join(rows) + "\n"


def table_of(document: str) -> str:
    """Return the table that stands in the document."""
    found = _BETWEEN.search(document)
    assert found is not None, "the document marks where its table of settings begins and ends"
    return found[0]


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and (issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation))


def _section(name: str, section: Any) -> Iterator[str]:
    meanings = _meanings(section)
    for member, default in _defaults(section):
        yield f"| `{name}.{member}` | {_shown(default)} | {meanings.get(member, '')} |"


def _defaults(section: Any) -> Iterator[tuple[str, object]]:
    if dataclasses.is_dataclass(section):
        yield from ((field.name, field.default) for field in dataclasses.fields(section))
    else:
        for name, field in section.model_fields.items():
            yield name, field.get_default(call_default_factory=True)


def _shown(value: object) -> str:
    match value:
        case None | "" | () | {} | SecretStr():
            return ""
        case _ if value is PydanticUndefined or value is dataclasses.MISSING:
            return "required"
        case bool():
            return f"`{str(value).lower()}`"
        case tuple():
            return f"`{', '.join(map(str, value))}`"
        case _:
            return f"`{value}`"


def _summary(section: object) -> str:
    return " ".join((inspect.getdoc(section) or "").partition("\n")[0].split())


def _meanings(section: type) -> dict[str, str]:
    """Return the text below each attribute."""
    module = inspect.getmodule(section)
    assert isinstance(module, types.ModuleType), f"{section} is defined in a module"
    tree = ast.parse(inspect.getsource(module))
    node = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == section.__name__)
    return dict(_documented(node))


def _documented(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split()).replace("|", "\\|")
            case _:
                pass


if __name__ == "__main__":
    DOCUMENT.write_text(_BETWEEN.sub(lambda _: settings_reference(), DOCUMENT.read_text("utf-8")), encoding="utf-8")
