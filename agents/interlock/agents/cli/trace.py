"""`interlock trace`: what is in a trace file, as text or as a picture; it needs no broker and no extra."""

from __future__ import annotations

__all__ = ["app"]

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from interlock.agents.cli.options import JsonOption, application
from interlock.agents.cli.output import Output, reporting
from interlock.agents.telemetry.trace_file import Span, read_trace
from interlock.agents.telemetry.waterfall import waterfall
from interlock.protocol.errors import UsageError

app = application()


@app.command()
def trace(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Lines of OTLP/JSON, as telemetry.traces writes them.")],
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it there, a lane per process.")] = None,
    only: Annotated[
        str | None, typer.Option("--trace", metavar="ID", help="Which, if there are several: a conversation's id.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which processes a trace runs through, and whether every span has its parent.

    Exit code 1 when one has not: a process did not hand its spans over, or does not trace.
    """
    with reporting(as_json=as_json) as output:
        spans = read_trace(file)
        if only is not None:
            spans = tuple(span for span in spans if span.trace_id == only.replace("-", ""))
        if not spans:
            raise UsageError(f"there is no such trace in {file}; without --trace all of them are listed")
        traces = sorted({span.trace_id for span in spans}, key=lambda one: [span.trace_id for span in spans].index(one))
        if svg is not None and len(traces) > 1:
            raise UsageError(f"{file} has {len(traces)} traces: name one with --trace, e.g. {traces[0]}")
        documents = [_tell(output, one, [span for span in spans if span.trace_id == one]) for one in traces]
        if svg is not None:
            try:
                svg.write_text(waterfall(spans), encoding="utf-8")
            except OSError as error:
                raise UsageError(f"the picture cannot be written to {svg}: {error.strerror}") from error
            output.say(f"drawn: {svg}")
        output.document({"traces": documents})
        if any(document["parentless"] for document in documents):
            raise typer.Exit(1)


def _tell(output: Output, trace_id: str, spans: list[Span]) -> dict[str, object]:
    known = {span.span_id for span in spans}
    roots = [span.name for span in spans if span.parent_id is None]
    parentless = [f"{span.service}: {span.name}" for span in spans if span.parent_id and span.parent_id not in known]
    seconds = (max(span.end for span in spans) - min(span.start for span in spans)) / 1e9
    services = Counter(span.service for span in spans)
    output.say(
        f"trace {trace_id}: {len(spans)} spans, {seconds:.1f} s, root: {', '.join(roots) or 'none'}", style="bold"
    )
    for service, count in services.most_common():
        output.say(f"    {service:<20} {count} spans")
    if parentless:
        output.say(f"    without their parents: {len(parentless)}, e.g. {parentless[0]}")
    return {
        "traceId": trace_id,
        "spans": len(spans),
        "seconds": round(seconds, 6),
        "roots": roots,
        "services": dict(services),
        "parentless": parentless,
    }
