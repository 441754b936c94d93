"""`interlock validate`: are these messages what the catalogue says? It needs no broker and no settings."""

from __future__ import annotations

__all__ = ["app"]

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from interlock.agents.cli.message_file import UnreadableFileError, admitted, bodies
from interlock.agents.cli.options import JsonOption, application
from interlock.agents.cli.output import ExitCode, Output, reporting
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import InvalidMessageError

app = application()


@dataclass(frozen=True, slots=True)
class _Good:
    line: int | None
    type: str
    version: int
    sender: str
    receiver: str

    def __str__(self) -> str:
        return f"ok: {self.type} v{self.version}, {self.sender} -> {self.receiver}"


@dataclass(frozen=True, slots=True)
class _Wrong:
    line: int | None
    path: str
    code: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or 'message'}: {self.reason} ({self.code})"


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was found in one file."""

    file: str
    good: tuple[_Good, ...] = ()
    wrong: tuple[_Wrong, ...] = ()
    unreadable: str | None = None

    @property
    def ok(self) -> bool:
        return not self.wrong and self.unreadable is None


@app.command()
def validate(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Messages; - is standard input.")],
    lines: Annotated[bool, typer.Option("--lines", help="One message to a line, as in .jsonl files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Check messages against the catalogue, in full or in the specification's four-field form.

    One line per file, and per wrong message. Exit code 1 when one is wrong, 2 when a file cannot be read.
    """
    with reporting(as_json=as_json) as output:
        catalogue = installed_catalogue()
        verdicts = [_examine(name, lines=lines, catalogue=catalogue) for name in files]
        for verdict in verdicts:
            _show(output, verdict)
        output.document(
            {"ok": all(verdict.ok for verdict in verdicts), "files": [_document(verdict) for verdict in verdicts]}
        )
        if any(verdict.unreadable for verdict in verdicts):
            raise typer.Exit(ExitCode.USAGE)
        if not all(verdict.ok for verdict in verdicts):
            raise typer.Exit(ExitCode.FAILURE)


def _examine(name: str, *, lines: bool, catalogue: Catalogue) -> _Verdict:
    now = datetime.now(UTC)
    good: list[_Good] = []
    wrong: list[_Wrong] = []
    try:
        for line, body in bodies(name, lines=lines):
            try:
                envelope = admitted(body, now=now, catalogue=catalogue)
            except InvalidMessageError as error:
                wrong.append(_Wrong(line, error.path, error.code, error.reason))
            else:
                good.append(_Good(line, envelope.type, envelope.version, envelope.sender, envelope.receiver))
    except UnreadableFileError as error:
        return _Verdict(name, tuple(good), tuple(wrong), unreadable=str(error))
    return _Verdict(name, tuple(good), tuple(wrong))


def _show(output: Output, verdict: _Verdict) -> None:
    if verdict.unreadable is not None:
        output.note(verdict.unreadable)
        return
    for problem in verdict.wrong:
        place = verdict.file if problem.line is None else f"{verdict.file}:{problem.line}"
        output.say(f"{_one_line(place)}: {problem}", style="red")
    if verdict.ok:
        only = verdict.good[0] if len(verdict.good) == 1 else None
        output.say(f"{_one_line(verdict.file)}: {only or f'ok: {len(verdict.good)} messages'}")


def _one_line(name: str) -> str:
    """Return a file name without line breaks, which would let it look like a verdict of its own."""
    return name.replace("\n", "\\n")


def _document(verdict: _Verdict) -> dict[str, object]:
    return {"ok": verdict.ok, **asdict(verdict)}
