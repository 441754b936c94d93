"""`interlock doctor`: tells what the checks came to, by area; the checks are `interlock.agents.doctor`'s."""

from __future__ import annotations

__all__ = ["app"]

import functools
from collections.abc import Sequence
from typing import Annotated

import anyio
import typer

from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import ExitCode, Output, reporting
from interlock.agents.doctor import Examination, Finding, Verdict, Ward, examine
from interlock.agents.settings import Settings
from interlock.bus.clock import SystemClock
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import UsageError

app = application()

_STYLES = {Verdict.OK: None, Verdict.WARNING: "yellow", Verdict.FAILED: "red", Verdict.UNKNOWN: "dim"}
_LONGEST = 12.5


@app.command()
def doctor(
    context: typer.Context,
    listen: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, max=600, help="How long to listen for heartbeats; 0: not at all."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at everything, and say what to do; change nothing. Exits with 1 when something has failed.

    It uses whatever logins the settings hold, and says what it could not look at.
    """
    with reporting(as_json=as_json) as output:
        try:
            settings, catalogue = settings_of(context), installed_catalogue()
        except UsageError as error:
            found = [Examination("settings", (Finding.failed("settings", str(error), "correct them; see above"),))]
        else:
            seconds = min(settings.runtime.heartbeat * 1.25, _LONGEST) if listen is None else listen
            ward = Ward(settings, catalogue=catalogue, clock=SystemClock(), listening=seconds)
            found = [_settings(settings), *anyio.run(functools.partial(examine, ward, patience=max(14.0, seconds + 2)))]
        _tell(found, output)
        if any(examination.has_failed for examination in found):
            raise typer.Exit(ExitCode.FAILURE)


def _settings(settings: Settings) -> Examination:
    source = settings.config or "interlock.toml and the environment"
    return Examination("settings", (Finding.ok("settings", f"can be read from {source}"),))


def _tell(found: Sequence[Examination], output: Output) -> None:
    width = max(len(finding.subject) for examination in found for finding in examination.findings)
    for examination in found:
        output.say(examination.area, style="bold")
        for finding in examination.findings:
            line = f"  {finding.verdict:<7}  {finding.subject:<{width}}  {finding.evidence}"
            output.say(line, style=_STYLES[finding.verdict])
            if finding.advice:
                output.say(f"  {'':<7}  {'':<{width}}  -> {finding.advice}")
    counts = {verdict: sum(f.verdict is verdict for e in found for f in e.findings) for verdict in Verdict}
    output.say("\n" + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    output.document(
        {
            "failed": counts[Verdict.FAILED] > 0,
            "areas": {
                examination.area: [
                    {"verdict": f.verdict, "subject": f.subject, "evidence": f.evidence, "advice": f.advice}
                    for f in examination.findings
                ]
                for examination in found
            },
        }
    )
