"""What telemetry goes to: a collector gets what is left at the end, and what is not installed is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import HealthSettings, TelemetrySettings
from interlock.bus.clock import SystemClock
from interlock.bus.telemetry import OFF, current
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import conversation_of

CONVERSATION = conversation_of("PROJ-140")


@dataclass
class Collector:
    """Receives OTLP over HTTP, as a collector does."""

    url: str = ""
    spans: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Service, name and trace id."""
    metrics: list[str] = field(default_factory=list[str])


@asynccontextmanager
async def collecting() -> AsyncGenerator[Collector]:
    collector = Collector()

    async def traces(request: web.Request) -> web.Response:
        for group in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            attributes = {pair.key: pair.value.string_value for pair in group.resource.attributes}
            collector.spans += [
                (attributes["service.name"], span.name, span.trace_id.hex())
                for scope in group.scope_spans
                for span in scope.spans
            ]
        return web.Response()

    async def metrics(request: web.Request) -> web.Response:
        for group in ExportMetricsServiceRequest.FromString(await request.read()).resource_metrics:
            collector.metrics += [metric.name for scope in group.scope_metrics for metric in scope.metrics]
        return web.Response()

    application = web.Application()
    application.router.add_post("/v1/traces", traces)
    application.router.add_post("/v1/metrics", metrics)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()


async def test_a_collector_gets_what_is_left_at_the_end() -> None:
    async with collecting() as collector:
        settings = TelemetrySettings(traces=collector.url, metrics=collector.url)
        async with open_telemetry(
            settings, agent="qa-agent", version="1", system="memory", clock=SystemClock()
        ) as opened:
            with opened.telemetry.conversation(CONVERSATION, name="change"), current().calling("shelf", "look"):
                pass
            assert opened.telemetry.meters is not None
            opened.telemetry.meters.processed("question", 0.1, None)

        assert {span[:2] for span in collector.spans} == {("qa-agent", "change"), ("qa-agent", "shelf look")}
        assert {span[2] for span in collector.spans} == {CONVERSATION.replace("-", "")}
        assert {"interlock.outside.duration", "messaging.process.duration"} <= set(collector.metrics)


def test_switched_off_nothing_of_the_sdk_is_imported() -> None:
    program = """
import sys, anyio
from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import TelemetrySettings
from interlock.bus.clock import SystemClock
async def main():
    settings = TelemetrySettings(traces=TRACES)
    async with open_telemetry(settings, agent="a", version="1", system="memory", clock=SystemClock()) as opened:
        assert opened.telemetry.is_off
if "BLOCKED" in sys.argv:
    sys.modules["opentelemetry.sdk.resources"] = None
anyio.run(main)
print([name for name in sys.modules if name.startswith(("opentelemetry.sdk", "prometheus"))])
"""
    off = subprocess.run(
        [sys.executable, "-c", program.replace("TRACES", "'off'")], capture_output=True, text=True, check=True
    )
    missing = subprocess.run(
        [sys.executable, "-c", program.replace("TRACES", "'otlp'"), "BLOCKED"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert off.stdout.strip() == "[]"
    assert missing.stderr.strip().endswith("pip install 'interlock[telemetry]'")


async def test_a_trace_file_that_cannot_be_written_is_named() -> None:
    settings = TelemetrySettings(traces="/proc/trace.jsonl")
    opening = open_telemetry(settings, agent="a", version="1", system="memory", clock=SystemClock())

    with pytest.raises(UsageError, match=r"/proc/trace\.jsonl"):
        await opening.__aenter__()


def test_outside_of_any_work_nobody_is_told() -> None:
    assert current() is OFF


@pytest.mark.parametrize("listen", ["9464", "localhost", "localhost:http", ":1", "localhost:70000"])
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        HealthSettings(listen=listen)
