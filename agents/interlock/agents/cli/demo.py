"""`interlock demo`: one ticket through the whole team."""

from __future__ import annotations

__all__ = ["app"]

import json
import logging
import os
import sys
import tempfile
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import anyio
import anyio.to_thread
import typer

from interlock.agents.cli.options import JsonOption, application
from interlock.agents.cli.output import ExitCode, Output, reporting
from interlock.agents.cli.private_file import require_writable
from interlock.agents.demo.demo import Demo, DemoResult
from interlock.agents.demo.people import People
from interlock.agents.report.narration import Narrator
from interlock.agents.systems.tickets import load_ticket
from interlock.bus.clock import SystemClock
from interlock.protocol.errors import UsageError
from interlock.protocol.messages.change import ChangeOutcome

app = application()


@app.command()
def demo(
    ticket: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Jira issue; default: the specification's own PROJ-140.")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="JSON of field names and answers, when facts are missing.")
    ] = None,
    broker: Annotated[
        str,
        typer.Option(
            metavar="auto|memory|private|cluster|URL",
            help="auto: INTERLOCK_BROKER_URL if set, else a private RabbitMQ where installed, else memory. "
            "cluster: three private nodes.",
        ),
    ] = "auto",
    approve: Annotated[
        Literal["auto", "ask"],
        typer.Option(help="auto: plans, and overruns of the budget up to a quarter; ask: at the terminal."),
    ] = "auto",
    report: Annotated[Path, typer.Option(metavar="DIR", help="Where the report is written.")] = Path("build/report"),
    store: Annotated[
        Literal["sqlite", "postgres"],
        typer.Option(help="sqlite: a file per agent; postgres: a private server, which replicas can share."),
    ] = "sqlite",
    replicas: Annotated[int, typer.Option(min=1, max=9, help="Processes per agent.")] = 1,
    work: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where logs and stores are kept; default: a temporary folder.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the spans of all processes there, as OTLP/JSON lines.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Take a Jira infrastructure task through the whole team, in a sandbox, and leave a report.

    Exit codes: 0 accepted, 3 ended in good order otherwise, 1 failure, 2 usage.
    """
    with reporting(as_json=as_json) as output:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        people = People(answers=_answers(answers), ask=None if approve == "auto" else _ask)
        with resources.as_file(resources.files("interlock.agents.demo") / "proj-140.json") as bundled:
            path = ticket or bundled
            if trace is not None and trace.exists():
                raise UsageError(f"{trace} exists: name a new file for the trace")
            if trace is not None:
                require_writable(trace)
            _require_folder(report)
            loaded = load_ticket(path)
            issue = loaded.key or f"{loaded.project}-1"
            with tempfile.TemporaryDirectory(prefix="interlock-demo-") as scratch:
                directory = (work or Path(scratch)).resolve()
                if work is not None:
                    try:
                        directory.mkdir(parents=True, exist_ok=True)
                    except OSError as error:
                        raise UsageError(f"the folder {directory} cannot be made: {error.strerror}") from error
                    if any(directory.iterdir()):
                        raise UsageError(f"{work} is not empty: name a new folder")
                clock = SystemClock()
                narrator = Narrator(sys.stderr if as_json else sys.stdout, started=clock.now())
                play = Demo(
                    path,
                    issue=issue,
                    broker=broker,
                    people=people,
                    directory=directory,
                    report=report,
                    narrator=narrator,
                    clock=clock,
                    store=store,
                    replicas=replicas,
                    trace=trace,
                )
                result = anyio.run(play.run)
        _tell(result, output)


def _tell(result: DemoResult, output: Output) -> None:
    output.document(json.loads(result.files.json.read_text(encoding="utf-8")))
    if result.report.outcome is ChangeOutcome.ACCEPTED:
        return
    failed = result.report.outcome is ChangeOutcome.FAILED
    raise typer.Exit(ExitCode.FAILURE if failed else ExitCode.ENDED_OTHERWISE)


def _require_folder(report: Path) -> None:
    """Refuse a place for the report where no folder can be, before a minute of work is told there."""
    existing = next(place for place in (report, *report.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise UsageError(f"the report cannot be written to {report}: {existing} is no folder; name another")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"the report cannot be written to {report}: {existing} is not writable; name another folder")


def _answers(file: Path | None) -> dict[str, str] | None:
    if file is None:
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"the answers {file} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise UsageError(f"the answers {file} must be a JSON object of texts, by field name")
    return content


async def _ask(question: str) -> bool | None:
    """Ask at the terminal; without one nobody is there."""
    if not sys.stdin.isatty():
        return None
    sys.stderr.write(f"{question}\nApprove? [y/n] ")
    sys.stderr.flush()
    reply = await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True)
    return reply.strip().lower() in {"y", "yes", "예", "네"}
