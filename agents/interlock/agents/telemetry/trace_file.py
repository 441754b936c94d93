"""Traces as files: one span per line as OTLP/JSON, which collectors read as well; it draws nothing.

https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ describes the format. Several processes may append to
one file: each line is a single write to a file that was opened for appending.
"""

from __future__ import annotations

__all__ = ["Span", "TraceFileWriter", "read_trace", "to_line"]

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.protocol.errors import UsageError

if TYPE_CHECKING:  # an extra: whoever has such a span has it
    from opentelemetry.sdk.trace import ReadableSpan

_KINDS = ("INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
_STATUSES = ("UNSET", "OK", "ERROR")
_ERROR = 2
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a file, as far as it is shown. Times are nanoseconds since 1970."""

    trace_id: str
    span_id: str
    parent_id: str | None
    name: str
    kind: str
    service: str
    start: int
    end: int
    attributes: Mapping[str, Any]
    is_error: bool

    @property
    def operation(self) -> str:
        """`send`, `receive`, `process`, or what the name begins with."""
        return str(self.attributes.get("messaging.operation.name") or self.name.partition(" ")[0])


class TraceFileWriter:
    """Appends lines to a file, one write each, so that a process that is killed leaves no half of one."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError when the file cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(f"the trace file {path} cannot be written: {error.strerror}; name another") from error

    def write(self, lines: Iterable[str]) -> None:
        """Append lines."""
        for line in lines:
            os.write(self._file, line.encode() + b"\n")

    def close(self) -> None:
        """Close the file. Idempotent."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def to_line(span: ReadableSpan) -> str:
    """Return a finished span as one line."""
    context, parent, status = span.get_span_context(), span.parent, span.status
    assert context is not None, "a finished span has ids"
    document: dict[str, Any] = {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        "name": span.name,
        "kind": _KINDS.index(span.kind.name) + 1,
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _pairs(span.attributes or {}),
    }
    if parent is not None and parent.is_valid:
        document["parentSpanId"] = f"{parent.span_id:016x}"
    if span.events:
        document["events"] = [
            {"timeUnixNano": str(event.timestamp), "name": event.name, "attributes": _pairs(event.attributes or {})}
            for event in span.events
        ]
    if span.links:
        document["links"] = [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                "attributes": _pairs(link.attributes or {}),
            }
            for link in span.links
        ]
    document["status"] = {
        "code": _STATUSES.index(status.status_code.name),
        **({"message": status.description} if status.description else {}),
    }
    scope = {"name": span.instrumentation_scope.name} if span.instrumentation_scope else {}
    resource = {"attributes": _pairs(span.resource.attributes)}
    group = {"resource": resource, "scopeSpans": [{"scope": scope, "spans": [document]}]}
    return _ENCODER.encode({"resourceSpans": [group]})


def read_trace(path: Path) -> tuple[Span, ...]:
    """Return a file's spans by start. Raises UsageError when it cannot be read, or is no such file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the trace file {path} cannot be read ({type(error).__name__})") from error
    spans = [span for number, line in enumerate(lines, start=1) if line.strip() for span in _read(line, path, number)]
    return tuple(sorted(spans, key=lambda span: (span.start, span.end, span.span_id)))


def _read(line: str, path: Path, number: int) -> Sequence[Span]:
    try:
        return _spans(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise UsageError(f"{path}, line {number}, is no OTLP/JSON of traces ({type(error).__name__})") from error


def _spans(document: Mapping[str, Any]) -> Sequence[Span]:
    found: list[Span] = []
    for group in document["resourceSpans"]:
        resource = _values(group.get("resource", {}).get("attributes", []))
        for scope in group["scopeSpans"]:
            found += [_span(span, str(resource.get("service.name", "unknown"))) for span in scope["spans"]]
    return found


def _span(span: Mapping[str, Any], service: str) -> Span:
    return Span(
        trace_id=span["traceId"],
        span_id=span["spanId"],
        parent_id=span.get("parentSpanId") or None,
        name=span["name"],
        kind=_KINDS[int(span.get("kind", 1)) - 1],
        service=service,
        start=int(span["startTimeUnixNano"]),
        end=int(span["endTimeUnixNano"]),
        attributes=_values(span.get("attributes", [])),
        is_error=span.get("status", {}).get("code", 0) == _ERROR,
    )


def _pairs(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"stringValue": str(value)}


def _values(pairs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: _plain(pair["value"]) for pair in pairs}


def _plain(value: Mapping[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "intValue":
        return int(content)
    return [_plain(item) for item in content.get("values", [])] if kind == "arrayValue" else content
