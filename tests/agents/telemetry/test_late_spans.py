"""Late spans tell what the SDK's own tell, word for word, and hold what a handler adds to its current span."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from agents.at_work import AGENT, CATALOGUE, Answer, Question, workplace
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.systems.outside import calling
from interlock.agents.telemetry.late_spans import LateSpans
from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import TelemetrySettings
from interlock.bus.clock import VirtualClock
from interlock.bus.tracing import Spans, TracerSpans, nanos
from interlock.protocol.errors import PermanentError
from interlock.protocol.ids import new_id

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue

LINKED = SpanContext(7, 8, True, TraceFlags(TraceFlags.SAMPLED))
PARENT = SpanContext(5, 6, True, TraceFlags(TraceFlags.SAMPLED))
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def written(
    spans: Literal["late", "sdk"], folder: Path, ids: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """Return the spans, as the trace file has them, of an agent that answers one question and refuses another."""
    library = Agent(AGENT, catalogue=CATALOGUE)

    @library.on
    async def answer(question: Question, context: Context) -> Answer:
        here = trace.get_current_span()
        here.set_attribute("app.shelf", 3)
        here.set_attributes({"app.tags": ["old", "rare"], "app.lent": False})
        here.add_event("looked", {"app.row": 2}, timestamp=12)
        here.add_link(LINKED, {"app.why": "the same book"})
        with calling("shelf", "look") as call:
            call.note("http.response.status_code", 200)
        await context.once("stamp", stamp)
        if question.text == "forbidden":
            raise PermanentError("this book is not lent")
        return Answer(text=question.text)

    async def stamp() -> None:
        with pytest.raises(OSError, match="ink"), calling("shelf", "stamp"):
            raise OSError("out of ink")

    numbers = itertools.count(1)

    def next_id(_: RandomIdGenerator) -> int:
        return next(numbers)

    monkeypatch.setattr(RandomIdGenerator, "generate_span_id", next_id)
    file = folder / "trace.jsonl"
    settings = TelemetrySettings(traces=str(file), spans=spans)
    async with (
        workplace(library, folder, clock=VirtualClock()) as place,
        open_telemetry(settings, agent=AGENT, version="1", system="memory", clock=place.clock) as opened,
        place.running(telemetry=opened.telemetry),
    ):
        await place.say(Question(text="hello"), id=ids[0], conversation_id=ids[0])
        await place.until(lambda: len(place.told) == 1)
        await place.say(Question(text="forbidden"), id=ids[1], conversation_id=ids[1], traced_as=TRACEPARENT)
        await place.until(lambda: len(place.told) == 2)
    return [json.loads(line) for line in file.read_text().splitlines()]


def spans_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    (groups,) = zip(*(line["resourceSpans"] for line in lines), strict=True)
    return [
        {**span, "scope": scope["scope"]}
        for group in groups
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    ]


async def test_of_one_flow_both_kinds_tell_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = new_id(), new_id()
    told: dict[str, list[dict[str, Any]]] = {}
    for kind in ("late", "sdk"):
        (tmp_path / kind).mkdir()
        told[kind] = spans_of(await written(kind, tmp_path / kind, ids, monkeypatch))

    def order(span: dict[str, Any]) -> tuple[str, str]:
        return span["traceId"], span["spanId"]

    late, sdk = (sorted(told[kind], key=order) for kind in ("late", "sdk"))
    assert [span["name"] for span in late] == [span["name"] for span in sdk]
    for ours, theirs in zip(late, sdk, strict=True):
        assert ours == theirs
    assert len(late) == 12
    process = next(span for span in late if span["name"] == "process question")
    assert {"key": "app.shelf", "value": {"intValue": "3"}} in process["attributes"]
    assert process["events"][0]["name"] == "looked"
    assert process["links"][0]["spanId"] == f"{LINKED.span_id:016x}"


@dataclass
class Ended(SpanProcessor):
    """Keeps what ended."""

    spans: list[ReadableSpan] = field(default_factory=list[ReadableSpan])

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def by_both(work: Callable[[Span], object], limits: SpanLimits | None = None) -> tuple[ReadableSpan, ReadableSpan]:
    """Return what comes of the same work on a late span and on one of the SDK."""
    resource, clock, limits = Resource({"service.name": "library"}), VirtualClock(), limits or SpanLimits()
    late, sdk = Ended(), Ended()
    provider = TracerProvider(resource=resource, span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(sdk)
    kinds: tuple[Spans, Spans] = (
        LateSpans(late, resource=resource, scope="interlock", clock=clock, limits=limits),
        TracerSpans(provider.get_tracer("interlock")),
    )
    for spans in kinds:
        span = spans.start("work", SpanKind.CONSUMER, PARENT, {"of": "ours"}, clock.now(), None)
        work(span)
        span.end(20)
        assert not span.is_recording()
    return late.spans[0], sdk.spans[0]


def fields(span: ReadableSpan) -> dict[str, object]:
    """Return everything that an exporter can read, but for the id, which is random."""
    context = span.get_span_context()
    assert context is not None
    return {
        "name": span.name,
        "context": (context.trace_id, context.is_remote, context.trace_flags, context.trace_state),
        "parent": span.parent,
        "kind": span.kind,
        "times": (span.start_time, span.end_time),
        "status": (span.status.status_code, span.status.description),
        "attributes": dict(span.attributes or {}),
        "events": [(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events],
        "links": [(link.context, dict(link.attributes or {})) for link in span.links],
        "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
        "resource": span.resource.attributes,
        "scope": span.instrumentation_scope,
    }


def failed() -> Exception:
    try:
        raise ValueError("on purpose")
    except ValueError as error:
        return error


def many_links(span: Span) -> None:
    for number in range(200):
        span.add_link(LINKED, {"number": number})


FAILURE = failed()

DEEDS: tuple[Callable[[Span], object], ...] = (
    lambda _: None,
    lambda span: span.set_attributes({"text": "a", "number": 1, "part": 0.5, "yes": True, "of": "theirs"}),
    lambda span: span.set_attribute("list", ["a", "b"]),
    lambda span: span.set_attribute("object", cast("AnyValue", {1: object})),
    lambda span: span.set_attribute("", "no name"),
    lambda span: [span.set_attribute(f"number {number}", number) for number in range(200)],
    lambda span: [span.add_event(f"number {number}", timestamp=number) for number in range(200)],
    many_links,
    lambda span: span.add_link(trace.INVALID_SPAN_CONTEXT),
    lambda span: span.update_name("other"),
    lambda span: span.set_status(StatusCode.ERROR, "in words"),
    lambda span: span.set_status(Status(StatusCode.ERROR, "in words")),
    lambda span: (span.set_status(StatusCode.OK), span.set_status(StatusCode.ERROR, "too late")),
    lambda span: (span.set_status(StatusCode.ERROR), span.set_status(StatusCode.UNSET)),
    lambda span: span.record_exception(FAILURE, {"more": 1}, timestamp=15),
    lambda span: (span.end(15), span.set_attribute("late", 1), span.update_name("late"), span.add_event("late")),
)


@pytest.mark.parametrize("work", DEEDS)
def test_what_is_done_to_both_comes_out_alike(work: Callable[[Span], object]) -> None:
    late, sdk = by_both(work)

    assert fields(late) == fields(sdk)


@pytest.mark.parametrize("limits", [SpanLimits(max_span_attributes=2), SpanLimits(max_attribute_length=3)])
def test_limits_hold_for_both(limits: SpanLimits) -> None:
    late, sdk = by_both(lambda span: span.set_attributes({"first": "long", "second": "longer"}), limits)

    assert fields(late) == fields(sdk)
    assert dict(late.attributes or {}) != {"of": "ours", "first": "long", "second": "longer"}


def test_what_is_not_sampled_is_no_span_and_nobody_is_told() -> None:
    ended, clock = Ended(), VirtualClock()
    spans = LateSpans(ended, resource=Resource({}), scope="interlock", clock=clock)
    unsampled = SpanContext(5, 6, True, TraceFlags(TraceFlags.DEFAULT))

    span = spans.start("work", SpanKind.CONSUMER, unsampled, {}, clock.now(), None)
    span.end()

    assert isinstance(span, NonRecordingSpan)
    assert span.get_span_context() == unsampled
    assert not spans.records(unsampled)
    assert ended.spans == []


def test_moments_are_the_clock_s() -> None:
    ended, clock = Ended(), VirtualClock()
    spans = LateSpans(ended, resource=Resource({}), scope="interlock", clock=clock)
    span = spans.start("work", SpanKind.CONSUMER, PARENT, {}, clock.now(), None)

    span.add_event("seen")
    span.end()

    assert ended.spans[0].events[0].timestamp == nanos(clock.now())
    assert ended.spans[0].end_time == nanos(clock.now())


async def test_the_standard_switch_ends_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    assert await written("late", tmp_path, (new_id(), new_id()), monkeypatch) == []
