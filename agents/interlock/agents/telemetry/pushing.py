"""Pushes measurements over OTLP: the SDK's instruments, and the bus's histograms with them; it measures nothing."""

from __future__ import annotations

__all__ = ["PushedMeasurements", "are_differences"]

import os
from typing import Any

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData

from interlock.agents.telemetry.measurements import Histograms

_PREFERENCE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


class PushedMeasurements(OTLPMetricExporter):
    """Sends all of it to one endpoint."""

    histograms: Histograms | None = None
    """Known once there are instruments."""

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **options: Any
    ) -> MetricExportResult:
        """Send one reading."""
        whole = metrics_data if self.histograms is None else self.histograms.added_to(metrics_data)
        return super().export(whole, timeout_millis, **options)


def are_differences() -> bool:
    """Return whether histograms are to tell what came since the last push, as the standard variable says."""
    return os.environ.get(_PREFERENCE, "").strip().upper() in {"DELTA", "LOWMEMORY"}
