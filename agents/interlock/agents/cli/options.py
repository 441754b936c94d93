"""The options that commands share, and what `--config` leads to; it knows no command."""

from __future__ import annotations

__all__ = ["JsonOption", "application", "settings_of"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # reading settings costs more than `validate` and `schemas` may take to start
    from interlock.agents.settings import Settings

JsonOption = Annotated[
    bool, typer.Option("--json", help="Write JSON to standard output, people's text to standard error.")
]


def application(help: str | None = None, *, no_args_is_help: bool = False) -> typer.Typer:  # noqa: A002 - typer's word
    """Return a command's own application: its help is text, not markup, and it edits nobody's shell."""
    return typer.Typer(help=help, no_args_is_help=no_args_is_help, add_completion=False, rich_markup_mode=None)


def settings_of(context: typer.Context) -> Settings:
    """Return the settings under the root command's `--config`. Raises UsageError, naming source and key."""
    from interlock.agents.settings import Settings

    config = context.find_root().obj
    return Settings.load({"config": config} if isinstance(config, Path) else None)
