"""`interlock schemas`: the catalogue as JSON Schema files; it needs no broker and no settings."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import Annotated

import typer

from interlock.agents.cli.options import JsonOption
from interlock.agents.cli.output import ExitCode, reporting
from interlock.protocol import schemas
from interlock.protocol.errors import UsageError

app = typer.Typer(help="The catalogue as JSON Schema files.", no_args_is_help=True)

_FOLDER = Path("schemas")


@app.command()
def export(
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where to write; made when missing.")] = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Write one schema per message type and version, and an index."""
    with reporting(as_json=as_json) as output:
        files = schemas.export()
        try:
            to.mkdir(parents=True, exist_ok=True)
            for name, content in files.items():
                (to / name).write_bytes(content)
        except OSError as error:
            raise UsageError(f"the schemas cannot be written to {to}: {error.strerror}") from error
        output.say(f"{len(files)} files written to {to}")
        output.document({"folder": str(to), "files": sorted(files)})


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that was exported to.")] = _FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Compare exported schemas with the catalogue; exit code 1 when a file differs."""
    with reporting(as_json=as_json) as output:
        try:
            differences = schemas.check(folder)
        except OSError as error:
            raise UsageError(f"the schemas in {folder} cannot be read: {error.strerror}") from error
        for difference in differences:
            output.say(f"{folder}/{difference}; run 'interlock schemas export' again", style="red")
        if not differences:
            output.say(f"{folder} is up to date")
        found = [{"file": difference.file, "problem": difference.problem} for difference in differences]
        output.document({"ok": not found, "differences": found})
        if differences:
            raise typer.Exit(ExitCode.FAILURE)
