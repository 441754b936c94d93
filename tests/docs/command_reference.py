"""docs/reference/commands.md as the command line says it: `PYTHONPATH=tests python -m docs.command_reference`."""

from __future__ import annotations

__all__ = ["DOCUMENT", "command_reference"]

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from interlock.agents.cli.app import app

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"

_PREFACE = """# Command line

Every command with its arguments and options. With `--json` standard output is one JSON document, for commands that
follow something one per line; exit codes are under [errors](errors.md#exit-codes). Everything else that a command has
to know are [settings](../operations.md#settings).

Generated from the code by `make reference`.
"""
_BAR = "\\|"
_OF_TYPER = {"install_completion", "show_completion", "help"}


def command_reference() -> str:
    """Return the whole document."""
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    parts = [_PREFACE, _section("interlock", root, level=2)]
    parts += [text for name, command in _commands(root) for text in _sections(f"interlock {name}", command, level=2)]
    return "\n".join(parts)


def _commands(group: TyperGroup) -> Iterator[tuple[str, TyperCommand | TyperGroup]]:
    context: Any = None  # the listing makes no use of it
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert isinstance(command, TyperCommand | TyperGroup), name
        yield name, command


def _sections(name: str, command: TyperCommand | TyperGroup, *, level: int) -> Iterator[str]:
    yield _section(name, command, level=level)
    if isinstance(command, TyperGroup):
        for sub, below in _commands(command):
            yield from _sections(f"{name} {sub}", below, level=level + 1)


def _section(name: str, command: TyperCommand | TyperGroup, *, level: int) -> str:
    parameters = [parameter for parameter in command.params if parameter.name not in _OF_TYPER]
    arguments = [_argument(parameter) for parameter in parameters if parameter.param_type_name == "argument"]
    usage = " ".join([name, *arguments]) + (" COMMAND" if isinstance(command, TyperGroup) else "")
    rows = [_row(parameter) for parameter in parameters]
    table = "\n".join(["", "| | default | |", "|---|---|---|", *rows, ""]) if rows else ""
    return f"{'#' * level} {name}\n\n`{usage}`\n\n{inspect.cleandoc(command.help or '')}\n{table}"


def _argument(parameter: Any) -> str:
    shown = parameter.metavar or parameter.name.upper()
    return shown if parameter.required else f"[{shown}]"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        named = f"`{_argument(parameter)}`"
    else:
        named = " / ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
        if not parameter.is_flag:
            named += f" `{parameter.metavar or parameter.name.upper()}`"
    cells = (named, _default(parameter), " ".join((parameter.help or "").split()))
    return f"| {' | '.join(cell.replace('|', _BAR) for cell in cells)} |".replace("|  |", "| |")


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if parameter.default in (None, False, (), [], "") or callable(parameter.default):
        return ""
    return f"`{parameter.default}`"


if __name__ == "__main__":
    DOCUMENT.write_text(command_reference(), encoding="utf-8")
