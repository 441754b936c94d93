"""`interlock sandbox up`: the outside world on the loopback interface, for trying things out."""

from __future__ import annotations

__all__ = ["app"]

import signal
import tempfile
from pathlib import Path
from typing import Annotated

import anyio
import typer

from interlock.agents.cli.options import JsonOption, application
from interlock.agents.cli.output import Output, reporting
from interlock.agents.cli.private_file import require_writable, write_private
from interlock.agents.cli.toml import render_toml
from interlock.agents.sandbox.sandbox import Sandbox
from interlock.agents.systems.tickets import TicketFile, load_ticket
from interlock.protocol.errors import UsageError

app = application(no_args_is_help=True)

_DATABASES = 2
"""A change is rehearsed in a database of its own."""


@app.callback()
def sandbox() -> None:
    """Emulators of AWS, Jira, Kubernetes and chat, and a real PostgreSQL with TLS."""


@app.command()
def up(
    directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where data is kept; default: a temporary folder.")
    ] = None,
    ticket: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A Jira issue that exists from the start; repeatable.")
    ] = None,
    write: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the settings there (mode 0600) once all is ready.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Start everything, print the settings for interlock.toml, and run until interrupted."""
    with reporting(as_json=as_json) as output, tempfile.TemporaryDirectory(prefix="interlock-sandbox-") as scratch:
        if write is not None:
            require_writable(write)
        tickets: dict[str, TicketFile] = {}
        for number, path in enumerate(ticket or (), start=1):
            loaded = load_ticket(path)
            key = loaded.key or f"{loaded.project}-{number}"
            if key in tickets:
                raise UsageError(f"two tickets have the key {key}")
            tickets[key] = loaded
        anyio.run(_up, directory or Path(scratch), tickets, write, output)


async def _up(directory: Path, tickets: dict[str, TicketFile], write: Path | None, output: Output) -> None:
    async with Sandbox(directory, tickets=tickets, spare_databases=_DATABASES) as running:
        text = render_toml(running.settings)
        if write is not None:
            write_private(write, text)
        output.say(text if write is None else f"ready; the settings are in {write}")
        output.document(running.settings)
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
