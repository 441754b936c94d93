"""Whether a command line in a document could be typed: the command exists and has these options. It runs nothing."""

from __future__ import annotations

__all__ = ["problem_with"]

import re
import shlex
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from docs.snippets import ROOT
from interlock.agents.cli.app import app

_SHELL = {"cd", "cp", "curl", "diff", "echo", "export", "mkdir", "mv", "rm", "rmdir", "sed"}
_ELSEWHERE = {
    *_SHELL,
    "docker",
    "helm",
    "kubectl",
    "pip",
    "python",
    "python3",
    "rabbitmqctl",
    "sqlite3",
    "uv",
    "venv/bin/pip",
}
"""Programs that are not ours."""


def problem_with(line: str) -> str | None:
    """Return what is wrong with a line of a document, None when nothing is."""
    words = shlex.split(line, comments=True)
    if not words:
        return None
    program = words[0].removeprefix("venv/bin/").removeprefix(".venv/bin/")
    if program == "interlock":
        return _command(words[1:])
    if program == "make":
        return _targets(words[1:])
    if "/" in words[0] and (ROOT / words[0]).is_file():
        return None
    return None if words[0] in _ELSEWHERE or program in _ELSEWHERE else f"there is no program {words[0]}"


def _command(words: Sequence[str]) -> str | None:
    found: Any = typer.main.get_command(app)
    context: Any = None  # looking commands up makes no use of it
    waiting = list(words)
    while waiting and isinstance(found, TyperGroup) and not waiting[0].startswith("-"):
        name = waiting.pop(0)
        found = found.get_command(context, name)
        if found is None:
            return f"there is no command {name}"
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in waiting if word.startswith("--") and word.partition("=")[0] not in {*known, "--help"}]
    return f"there is no option {unknown[0]}" if unknown else None


def _targets(words: Sequence[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [word for word in words if "=" not in word]
    missing = [target for target in targets if not re.search(rf"(?m)^{re.escape(target)}:", makefile)]
    return f"there is no target {missing[0]}" if missing else None
