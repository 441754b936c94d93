"""The options that commands share, and what `--config` leads to; it knows no command."""

from __future__ import annotations

__all__ = ["JsonOption", "settings_of"]

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # reading settings costs more than `validate` and `schemas` may take to start
    from interlock.agents.settings import Settings

JsonOption = Annotated[
    bool, typer.Option("--json", help="Write JSON to standard output, people's text to standard error.")
]


def settings_of(context: typer.Context) -> Settings:
    """Return the settings under the root command's `--config`. Raises UsageError, naming source and key."""
    from interlock.agents.settings import Settings

    config = context.find_root().obj
    return Settings.load({"config": config} if isinstance(config, Path) else None)
