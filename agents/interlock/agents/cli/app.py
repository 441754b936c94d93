"""The root command: finds a subcommand's module when it is called for, so that `interlock validate` starts fast.

It knows each command's name, module and one line of help; everything else is the module's own.
"""

from __future__ import annotations

__all__ = ["app", "main"]

import importlib
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Protocol

import typer
from typer.core import TyperCommand, TyperGroup

from interlock.agents.cli.output import reporting
from interlock.protocol.errors import UsageError


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a command lives: a module with a `typer.Typer` named `app`."""

    module: str
    summary: str
    extra: str | None = None
    """The extra that it needs; None: the core is enough."""


_COMMANDS = {
    "demo": _Entry("demo", "Take one ticket through the whole team, in a sandbox.", extra="sandbox"),
    "run": _Entry("run", "Run agents, or the whole team.", extra="devops"),
    "sandbox": _Entry("sandbox", "Start emulators of the outside world.", extra="sandbox"),
    "broker": _Entry("broker_up", "Start a broker of one's own, for trying out an agent."),
    "topology": _Entry("topology", "Compare the broker with what it should hold, and bring it there."),
    "doctor": _Entry("doctor", "Look at everything, and say what to do."),
    "send": _Entry("send", "Publish messages from a file."),
    "record": _Entry("record", "Write what was said as JSON lines."),
    "replay": _Entry("replay", "Send what was recorded."),
    "validate": _Entry("validate", "Check messages against the catalogue."),
    "trace": _Entry("trace", "See what is in a trace file, and draw it."),
    "tail": _Entry("tail", "Show messages as they are sent."),
    "workflows": _Entry("workflows", "See where every change stands."),
    "approvals": _Entry("approvals", "See what waits for a person, and decide."),
    "dead": _Entry("dead", "See messages that were given up or refused, and repair them."),
    "schemas": _Entry("schemas", "See what changed in the messages, and whom it breaks."),
    "store": _Entry("store", "Migrate, check and move the agents' stores."),
}


class _Formatter(Protocol):
    """What is used of the formatter that help is written with."""

    def section(self, name: str) -> AbstractContextManager[None]: ...

    def write_dl(self, rows: Sequence[tuple[str, str]]) -> None: ...


class _Commands(TyperGroup):
    """Imports a command's module on its first use; the list in the help needs none of them."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - the overridden signature
        return [*_COMMANDS]

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:  # noqa: ARG002
        entry = _COMMANDS.get(cmd_name)
        return None if entry is None else _loaded(cmd_name, entry)

    def format_commands(self, ctx: object, formatter: _Formatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in _COMMANDS.items()])


def _loaded(name: str, entry: _Entry) -> TyperCommand | TyperGroup:
    try:
        module = importlib.import_module(f"interlock.agents.cli.{entry.module}")
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if entry.extra is None or missing.partition(".")[0] == "interlock":
            raise
        return _unavailable(name, extra=entry.extra, missing=missing)
    command = typer.main.get_command(module.app)
    assert isinstance(command, TyperCommand | TyperGroup), f"{entry.module}.app is a Typer application"
    command.name = name
    return command


def _unavailable(name: str, *, extra: str, missing: str) -> TyperCommand:
    """Return a command that says what to install; it takes any arguments."""

    def explain() -> None:
        with reporting(as_json=False):
            raise UsageError(f"'interlock {name}' needs {missing}: install interlock[{extra}]")

    return TyperCommand(
        name,
        callback=explain,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )


app = typer.Typer(
    cls=_Commands,
    name="interlock",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"interlock {version('interlock')}")
        raise typer.Exit


@app.callback()
def interlock(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings; default: INTERLOCK_CONFIG, else interlock.toml where it exists."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Typed, gated handoffs between ops agents, over RabbitMQ.

    Exit codes: 0 done or accepted, 1 failure, 2 usage, 3 ended in good order otherwise, 130 interrupted.
    """
    context.obj = config


def main() -> None:
    """Run the command line; ends the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Korean must not end a command
    app()
