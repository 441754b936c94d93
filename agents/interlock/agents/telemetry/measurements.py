"""Adds the bus's own histograms to what OpenTelemetry's SDK has measured, on its way to whoever reads it."""

from __future__ import annotations

__all__ = ["Histograms", "ScrapedMeasurements"]

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
)

from interlock.bus.clock import Clock
from interlock.bus.durations import BOUNDS, Durations, Kind, Tally
from interlock.bus.tracing import nanos


class Histograms:
    """Several histograms in the SDK's terms: since the start, or since they were read last."""

    def __init__(self, durations: Sequence[Durations], *, clock: Clock, since_last: bool = False) -> None:
        self._clock = clock
        self._since_last = since_last
        self._temporality = AggregationTemporality.DELTA if since_last else AggregationTemporality.CUMULATIVE
        self._read = clock.now()
        self._before: dict[Durations, Mapping[Kind, Tally]] = {each: {} for each in durations}

    def __repr__(self) -> str:
        return f"Histograms({[each.name for each in self._before]}, since_last={self._since_last})"

    def added_to(self, data: MetricsData) -> MetricsData:
        """Return all of it; `data` has at least one measurement of ours, whose resource and scope these share."""
        groups = [*data.resource_metrics]
        scopes = [*groups[0].scope_metrics]
        scopes[0] = replace(scopes[0], metrics=[*scopes[0].metrics, *self._metrics()])
        groups[0] = replace(groups[0], scope_metrics=scopes)
        return replace(data, resource_metrics=groups)

    def _metrics(self) -> Sequence[Metric]:
        now, before = self._clock.now(), self._read
        found: list[Metric] = []
        for durations, earlier in self._before.items():
            tallies = durations.read(anew=self._since_last)
            if self._since_last:
                self._before[durations] = tallies
                tallies = {kind: _since(tally, earlier.get(kind), before) for kind, tally in tallies.items()}
            points = [_point(tally, nanos(now)) for tally in tallies.values() if tally.count]
            if points:
                histogram = Histogram(data_points=points, aggregation_temporality=self._temporality)
                found.append(Metric(durations.name, durations.description, "s", histogram))
        self._read = now
        return found


class ScrapedMeasurements(InMemoryMetricReader):
    """What Prometheus is shown: the SDK's instruments and the bus's histograms."""

    histograms: Histograms | None = None
    """Known once there are instruments."""

    def get_metrics_data(self) -> MetricsData | None:
        """Return the present state."""
        data = super().get_metrics_data()
        return data if data is None or self.histograms is None else self.histograms.added_to(data)


def _since(tally: Tally, earlier: Tally | None, moment: datetime) -> Tally:
    if earlier is None:
        return tally
    buckets = [number - before for number, before in zip(tally.buckets, earlier.buckets, strict=True)]
    return replace(tally, since=moment, buckets=buckets, total=tally.total - earlier.total)


def _point(tally: Tally, now: int) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=tally.attributes,
        start_time_unix_nano=nanos(tally.since),
        time_unix_nano=now,
        count=tally.count,
        sum=tally.total,
        bucket_counts=tuple(tally.buckets),
        explicit_bounds=BOUNDS,
        min=tally.least,
        max=tally.most,
    )
