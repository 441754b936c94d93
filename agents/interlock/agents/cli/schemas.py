"""`interlock schemas`: messages as JSON Schema, and what a change breaks; it needs no broker and no settings."""

from __future__ import annotations

__all__ = ["app"]

import sys
from pathlib import Path
from typing import Annotated

import typer

from interlock.agents.cli.options import JsonOption, application
from interlock.agents.cli.output import ExitCode, reporting
from interlock.agents.cli.schema_changes import Findings, findings
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.compatibility import changes
from interlock.protocol.discovery import OWN, discover
from interlock.protocol.errors import UsageError
from interlock.protocol.export import Difference
from interlock.protocol.export import check as compare
from interlock.protocol.export import export as exported
from interlock.protocol.reference import message_reference
from interlock.protocol.releases import CODE, contracts_in, freeze, released

app = application(help="Messages as JSON Schema, and what a change of them breaks.", no_args_is_help=True)

_FOLDER = Path("schemas")

_Package = Annotated[
    str | None, typer.Option("--package", metavar="NAME", help="Only this package's messages; default: all installed.")
]
_Recordings = Annotated[
    list[Path] | None,
    typer.Option("--recordings", metavar="PATH", help="Recordings (.jsonl) or a folder of them; may be repeated."),
]
_Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder that was exported to.")]


@app.command()
def export(
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where to write; made when missing.")] = _FOLDER,
    package: _Package = None,
    as_json: JsonOption = False,
) -> None:
    """Write one JSON Schema per message type and version, an index, and an AsyncAPI document."""
    with reporting(as_json=as_json) as output:
        files = exported(_catalogue(package), package=package or OWN)
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
    folder: _Folder = _FOLDER,
    package: _Package = None,
    recordings: _Recordings = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the code with its exported schemas, its releases and recordings; exit code 1 when something is broken.

    A file of the export that differs, a message that the releases in DIR/released and the code do not both read, and a
    recorded message that is no longer read, each is told with its place.
    """
    with reporting(as_json=as_json) as output:
        differences, found = _examined(folder, package, recordings or [])
        for difference in differences:
            output.say(f"{folder}/{difference}; run 'interlock schemas export' again", style="red")
        found.show(output)
        if not differences:
            output.say(f"{folder} is up to date")
        found.summary(output)
        told = [{"file": difference.file, "problem": difference.problem} for difference in differences]
        ok = found.ok and not told
        output.document({"ok": ok, "differences": told, **found.document()})
        if not ok:
            raise typer.Exit(ExitCode.FAILURE)


@app.command()
def diff(
    old: Annotated[str | None, typer.Argument(metavar="OLD", help="Default: the last release.")] = None,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Default: the code.")] = CODE,
    folder: Annotated[Path, typer.Option("--schemas", metavar="DIR", help="Where releases are kept.")] = _FOLDER,
    package: _Package = None,
    recordings: _Recordings = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what changed between two states of the messages, and whom it breaks; exit code 1 when it breaks somebody.

    OLD and NEW are releases (0.1.0), folders of exported schemas, or 'code'. Recordings are read by the code.
    """
    with reporting(as_json=as_json) as output:
        catalogue = _catalogue(package)
        if recordings and new != CODE:
            raise UsageError(f"recordings are read by the code: leave them out, or compare with '{CODE}'")
        older = contracts_in(old or _last(folder), schemas=folder, catalogue=catalogue)
        newer = contracts_in(new, schemas=folder, catalogue=catalogue)
        found = findings(changes(older, newer), recordings=recordings or [], against=(older.name,))
        found.show(output, compatible=True)
        found.summary(output)
        output.document({"ok": found.ok, "old": older.name, "new": newer.name, **found.document()})
        if not found.ok:
            raise typer.Exit(ExitCode.FAILURE)


@app.command()
def release(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the release, like 0.2.0.")],
    folder: Annotated[Path, typer.Option("--schemas", metavar="DIR", help="Where releases are kept.")] = _FOLDER,
    package: _Package = None,
    as_json: JsonOption = False,
) -> None:
    """Freeze what the code promises now: later code has to be compatible with it until its file is taken away."""
    with reporting(as_json=as_json) as output:
        differences, found = _examined(folder, package, [])
        if differences or not found.ok:
            raise UsageError(f"the code is not what {folder} says, or breaks a release: see 'interlock schemas check'")
        catalogue = _catalogue(package)
        file = freeze(folder, name, catalogue)
        output.say(f"{file} keeps {len(catalogue)} messages")
        output.document({"file": str(file), "messages": len(catalogue)})


@app.command()
def docs(
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write; default: standard output.")] = None,
    package: _Package = None,
) -> None:
    """Write a reference page of the messages as Markdown, with an example of each."""
    with reporting(as_json=False):
        page = message_reference(_catalogue(package), package=package or OWN, own=package == OWN)
        if to is None:
            sys.stdout.write(page)
            return
        try:
            to.write_text(page, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"the page cannot be written to {to}: {error.strerror}") from error


def _examined(folder: Path, package: str | None, recordings: list[Path]) -> tuple[tuple[Difference, ...], Findings]:
    catalogue = _catalogue(package)
    try:
        differences = compare(folder, catalogue, package=package or OWN)
        return differences, Findings.since(released(folder), catalogue, recordings=recordings)
    except OSError as error:
        raise UsageError(f"the schemas in {folder} cannot be read: {error.strerror}") from error


def _catalogue(package: str | None) -> Catalogue:
    found = discover()
    return found.whole() if package is None else found.package(package)


def _last(folder: Path) -> str:
    releases = released(folder)
    if not releases:
        raise UsageError(f"{folder} keeps no release: name what to compare with, or run 'interlock schemas release'")
    return releases[-1].name
