"""What a deployment may refer to: settings by their names in the environment or as secret files, and commands."""

from __future__ import annotations

__all__ = ["command_exists", "setting_exists"]

import dataclasses
from collections.abc import Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from typer.testing import CliRunner

from interlock.agents.cli.app import app
from interlock.agents.settings import Settings


def setting_exists(name: str) -> bool:
    """Return whether `INTERLOCK_JIRA__TOKEN` or `jira.token` is a setting."""
    keys = name.removeprefix("INTERLOCK_").lower().split("__") if name.startswith("INTERLOCK_") else name.split(".")
    found: Any = Settings
    for key in keys:
        found = _member(found, key)
        if found is None:
            return False
    return True


def _member(section: Any, key: str) -> Any:
    if isinstance(section, type) and issubclass(section, BaseModel):
        field = section.model_fields.get(key)
        return None if field is None else field.annotation
    if dataclasses.is_dataclass(section):
        return next((field.type for field in dataclasses.fields(section) if field.name == key), None)
    return get_args(section)[1] if get_origin(section) is dict else None


def command_exists(arguments: Sequence[str]) -> bool:
    """Return whether `interlock` has this command with these options, without carrying it out."""
    words = [word for word in arguments if not word.startswith("-")]
    if words[:1] == ["run"]:
        words = words[:1]
    help_text = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200"})
    options = [word for word in arguments if word.startswith("-")]
    return help_text.exit_code == 0 and all(option in help_text.output for option in options)
