"""A trace as a picture and as text."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner

from interlock.agents.cli.app import app
from interlock.agents.telemetry.trace_file import Span, read_trace
from interlock.agents.telemetry.waterfall import waterfall
from interlock.protocol.errors import UsageError

TRACE = "7a3a1d3589fb500d9b9b421761c53a42"


def line(number: int, name: str, *, parent: int | None, service: str, start: float, end: float, kind: int = 1) -> str:
    """Return a line as `telemetry.traces` writes it; times are in seconds."""
    span = {
        "traceId": TRACE,
        "spanId": f"{number:016x}",
        "parentSpanId": f"{parent:016x}" if parent is not None else "",
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(int(start * 1e9)),
        "endTimeUnixNano": str(int(end * 1e9)),
        "attributes": [{"key": "interlock.message.type", "value": {"stringValue": name.partition(" ")[2]}}],
        "status": {"code": 0},
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {}, "spans": [span]}]}]})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    lines = [
        line(1, "change <PROJ-140>", parent=None, service="console", start=100, end=130),
        line(2, "send change_requested", parent=1, service="console", start=100, end=100.1, kind=4),
        line(3, "process change_requested", parent=2, service="coordinator", start=120, end=129, kind=5),
        line(4, "jira read", parent=3, service="coordinator", start=121, end=122, kind=3),
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def boxes(svg: str, kind: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg).iter() if element.get("class") == kind]  # noqa: S314 - our own


def test_handlers_calls_and_messages_are_drawn(file: Path) -> None:
    svg = waterfall(read_trace(file))

    work, call = boxes(svg, "work"), boxes(svg, "call")
    assert [box.findtext("{*}title") for box in work[1:]] == ["coordinator: process change_requested, 9000.0 ms"]
    assert [box.findtext("{*}title") for box in call[1:]] == ["coordinator: jira read, 1000.0 ms"]
    assert len(boxes(svg, "hop")) == 1 + 1, "the legend's, and one from the console to the coordinator"
    assert float(work[1].attrib["x"]) < float(call[1].attrib["x"])
    assert svg == waterfall(read_trace(file))


def test_time_in_which_nobody_works_is_cut(file: Path) -> None:
    svg = waterfall(read_trace(file))

    (cut,) = boxes(svg, "cut")
    assert float(cut.attrib["width"]) < 50
    assert "19.9 s" in svg


def test_a_trace_without_spans_is_an_empty_picture() -> None:
    spans: tuple[Span, ...] = ()

    assert ET.fromstring(waterfall(spans)).tag.endswith("svg")  # noqa: S314 - our own


def test_the_command_tells_and_draws(file: Path, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["trace", str(file), "--svg", str(tmp_path / "trace.svg")])

    assert ran.exit_code == 0
    assert ran.output.splitlines()[0] == f"trace {TRACE}: 4 spans, 30.0 s, root: change <PROJ-140>"
    assert (tmp_path / "trace.svg").read_text() == waterfall(read_trace(file))


def test_a_span_without_its_parent_is_found(file: Path) -> None:
    file.write_text("".join(text + "\n" for text in file.read_text().splitlines()[1:]))

    ran = CliRunner().invoke(app, ["trace", str(file), "--json"])

    assert ran.exit_code == 1
    assert json.loads(ran.stdout)["traces"][0]["parentless"] == ["console: send change_requested"]


@pytest.mark.parametrize("text", ["{}\n", "no json\n", '{"resourceSpans": [{}]}\n'])
def test_what_is_no_trace_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "trace.jsonl"
    file.write_text(text)

    with pytest.raises(UsageError, match=r"trace\.jsonl, line 1"):
        read_trace(file)
