"""Opens what telemetry goes to, as the settings say; the SDK and its exporters are imported only when something is on.

Standard variables hold for what the settings leave open: `OTEL_EXPORTER_OTLP_*` for endpoints and headers,
`OTEL_RESOURCE_ATTRIBUTES`, `OTEL_BSP_*`, `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_SDK_DISABLED`.
"""

from __future__ import annotations

__all__ = ["Opened", "open_telemetry"]

import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from opentelemetry.trace import SpanContext

from interlock.agents.telemetry.settings import TelemetrySettings
from interlock.agents.telemetry.trace_file import TraceFileWriter, to_line
from interlock.bus.clock import Clock
from interlock.bus.telemetry import Telemetry
from interlock.bus.tracing import TracerSpans, Tracing
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import new_id

if TYPE_CHECKING:  # an extra, which is imported only when something is on
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.sampling import Sampler

    from interlock.agents.telemetry.pushing import PushedMeasurements
    from interlock.bus.meters import Meters

_SCOPE = "interlock"
_FLUSH = 5.0
"""Seconds for handing over what is left when the process ends."""

_forced: ContextVar[SpanContext | None] = ContextVar("interlock_forced_ids", default=None)


@dataclass(frozen=True, slots=True)
class Opened:
    """One agent's telemetry, and what its measurements are read from where Prometheus asks for them."""

    telemetry: Telemetry
    reader: InMemoryMetricReader | None = None


@asynccontextmanager
async def open_telemetry(
    settings: TelemetrySettings, *, agent: str, version: str, system: str, clock: Clock
) -> AsyncGenerator[Opened]:
    """Yield what tells about one agent; at the end what is left is handed over, within five seconds.

    `system` is what messages travel over. Raises UsageError when something is on and the extra is not installed.
    """
    if settings.traces == "off" and settings.metrics == "off":
        yield Opened(Telemetry(agent, clock=clock, system=system))
        return
    ends: list[Callable[[], object]] = []
    try:
        yield _open(settings, ends, agent=agent, version=version, system=system, clock=clock)
    finally:
        with anyio.move_on_after(_FLUSH, shield=True):
            for end in ends:
                await anyio.to_thread.run_sync(end, abandon_on_cancel=True)


def _open(
    settings: TelemetrySettings,
    ends: list[Callable[[], object]],
    *,
    agent: str,
    version: str,
    system: str,
    clock: Clock,
) -> Opened:
    tracing, meters, reader = None, None, None
    try:
        from opentelemetry.sdk.resources import Resource

        attributes = {
            "service.name": agent,
            "service.namespace": "interlock",
            "service.version": version,
            "service.instance.id": new_id(),
        }
        resource = Resource.create({**attributes, **settings.resource})
        if settings.traces != "off":
            tracing = _tracing(settings, resource, ends, clock=clock)
        if settings.metrics != "off":
            meters, reader = _meters(settings, resource, ends, system=system, clock=clock)
    except ImportError as error:
        raise UsageError("telemetry is switched on, but not installed: pip install 'interlock[telemetry]'") from error
    return Opened(Telemetry(agent, clock=clock, system=system, tracing=tracing, meters=meters), reader)


def _tracing(
    settings: TelemetrySettings, resource: Resource, ends: list[Callable[[], object]], *, clock: Clock
) -> Tracing:
    from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

    from interlock.agents.telemetry.late_spans import LateSpans

    ratio = TraceIdRatioBased(settings.sample_ratio)

    def sampled(trace_id: int) -> bool:
        return ratio.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    processor = _processor(settings)
    if settings.spans == "sdk" or _is_disabled():
        return Tracing(_sdk_spans(processor, ratio, resource, ends), sampled=sampled)
    ends.append(processor.shutdown)
    return Tracing(LateSpans(processor, resource=resource, scope=_SCOPE, clock=clock), sampled=sampled)


def _is_disabled() -> bool:
    """Return what the SDK's tracers would do, too: then they start nothing."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _processor(settings: TelemetrySettings) -> SpanProcessor:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    from interlock.agents.telemetry.batching import batched

    class FileExporter(SpanExporter):
        """Appends each span at once: what a killed process did until then is in the file."""

        def __init__(self, path: Path) -> None:
            self._writer = TraceFileWriter(path)

        def export(self, spans: object) -> SpanExportResult:
            assert isinstance(spans, tuple | list)
            self._writer.write(to_line(span) for span in spans if isinstance(span, ReadableSpan))
            return SpanExportResult.SUCCESS

        def shutdown(self) -> None:
            self._writer.close()

    if settings.traces == "otlp" or settings.traces.startswith(("http://", "https://")):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return batched(OTLPSpanExporter(endpoint=_endpoint(settings.traces, "v1/traces")))
    return SimpleSpanProcessor(FileExporter(Path(settings.traces)))


def _sdk_spans(
    processor: SpanProcessor, ratio: Sampler, resource: Resource, ends: list[Callable[[], object]]
) -> TracerSpans:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import ParentBased

    class ChosenIds(RandomIdGenerator):
        """Random ids, but for the span whose ids follow from its message or conversation."""

        def generate_span_id(self) -> int:
            chosen = _forced.get()
            return super().generate_span_id() if chosen is None else chosen.span_id

        def generate_trace_id(self) -> int:
            chosen = _forced.get()
            return super().generate_trace_id() if chosen is None else chosen.trace_id

        def is_trace_id_random(self) -> bool:
            """A conversation's id may be derived from a ticket's."""
            return False

    provider = TracerProvider(
        sampler=ParentBased(ratio), resource=resource, shutdown_on_exit=False, id_generator=ChosenIds()
    )
    provider.add_span_processor(processor)
    ends.append(provider.shutdown)
    return TracerSpans(provider.get_tracer(_SCOPE), force=_forced.set)


def _meters(
    settings: TelemetrySettings, resource: Resource, ends: list[Callable[[], object]], *, system: str, clock: Clock
) -> tuple[Meters, InMemoryMetricReader | None]:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

    from interlock.agents.telemetry.measurements import Histograms, ScrapedMeasurements
    from interlock.bus.meters import Meters

    target: ScrapedMeasurements | PushedMeasurements
    reader: MetricReader
    since_last = False
    if settings.metrics == "prometheus":
        target = reader = ScrapedMeasurements()
    else:
        from interlock.agents.telemetry.pushing import PushedMeasurements, are_differences

        target = PushedMeasurements(endpoint=_endpoint(settings.metrics, "v1/metrics"))
        reader = PeriodicExportingMetricReader(target)
        since_last = are_differences()
    provider = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
    meters = Meters(provider.get_meter(_SCOPE), system=system, clock=clock)
    target.histograms = Histograms(meters.durations, clock=clock, since_last=since_last)

    def end() -> None:
        with contextlib.suppress(Exception):  # the SDK raises a plain one when its last export timed out
            provider.shutdown(timeout_millis=_FLUSH * 1000)

    ends.append(end)
    return meters, target if isinstance(target, ScrapedMeasurements) else None


def _endpoint(setting: str, path: str) -> str | None:
    """Return a signal's own URL, None where the standard variables name it."""
    if setting == "otlp":
        return None
    return setting if setting.endswith(path) else f"{setting.rstrip('/')}/{path}"
