"""The bus's own counting tells what the SDK's instruments would have told."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Histogram as HistogramInstrument
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    Sum,
)

from interlock.agents.telemetry.measurements import Histograms, ScrapedMeasurements
from interlock.agents.telemetry.pushing import are_differences
from interlock.bus.clock import SystemClock, VirtualClock
from interlock.bus.durations import BOUNDS, Durations
from interlock.bus.meters import Meters

FIXED = {"messaging.system": "memory"}
Record = tuple[str, float, str | None]

records = st.lists(
    st.tuples(
        st.sampled_from(["question", "answer"]),
        st.one_of(st.sampled_from(BOUNDS), st.floats(min_value=0.0, max_value=60.0)),
        st.sampled_from([None, "TransientError"]),
    ),
    max_size=30,
)


def metrics_of(data: MetricsData | None) -> dict[str, Metric]:
    assert data is not None
    return {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def points(metric: Metric) -> dict[object, HistogramDataPoint]:
    """Return a histogram's points by attributes, without their moments and with comparable sums."""
    assert isinstance(metric.data, Histogram)
    return {
        tuple(sorted((point.attributes or {}).items())): replace(
            point,
            start_time_unix_nano=0,
            time_unix_nano=0,
            sum=round(point.sum, 6),  # what was added in another order
            bucket_counts=tuple(point.bucket_counts),
            explicit_bounds=tuple(point.explicit_bounds),
        )
        for point in metric.data.data_points
    }


def by_both(turns: Sequence[Sequence[Record]], *, since_last: bool) -> list[tuple[Metric | None, Metric | None]]:
    """Return what our histogram and the SDK's tell after each turn."""
    temporality = AggregationTemporality.DELTA if since_last else AggregationTemporality.CUMULATIVE
    reader = InMemoryMetricReader(preferred_temporality={HistogramInstrument: temporality})
    meter = MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("interlock")
    meter.create_counter("always").add(1)
    theirs = meter.create_histogram("theirs", unit="s", explicit_bucket_boundaries_advisory=BOUNDS)
    clock = VirtualClock()
    ours = Durations("ours", "", fixed=FIXED, clock=clock)
    histograms = Histograms([ours], clock=clock, since_last=since_last)
    told: list[tuple[Metric | None, Metric | None]] = []
    for turn in turns:
        for type_, seconds, error in turn:
            ours.record(type_, seconds, error)
            attributes = {**FIXED, "interlock.message.type": type_, **({"error.type": error} if error else {})}
            theirs.record(seconds, attributes)
        data = reader.get_metrics_data()
        assert data is not None
        found = metrics_of(histograms.added_to(data))
        told.append((found.get("ours"), found.get("theirs")))
    return told


@pytest.mark.parametrize("since_last", [False, True])
@given(turns=st.lists(records, min_size=1, max_size=3))
def test_our_histograms_are_the_sdk_s(*, since_last: bool, turns: list[list[Record]]) -> None:
    for ours, theirs in by_both(turns, since_last=since_last):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            assert isinstance(ours.data, Histogram)
            assert isinstance(theirs.data, Histogram)
            assert points(ours) == points(theirs)
            assert ours.data.aggregation_temporality == theirs.data.aggregation_temporality
            assert ours.unit == theirs.unit


async def test_an_interval_begins_where_the_one_before_ended() -> None:
    clock = VirtualClock()
    durations = Durations("ours", "", fixed=FIXED, clock=clock)
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("interlock")
    meter.create_counter("always").add(1)
    histograms = Histograms([durations], clock=clock, since_last=True)
    intervals: list[tuple[int, int]] = []
    for _ in range(2):
        durations.record("question", 1.0, None)
        await clock.advance(10.0)
        data = reader.get_metrics_data()
        assert data is not None
        metric = metrics_of(histograms.added_to(data))["ours"]
        assert isinstance(metric.data, Histogram)
        intervals.append((metric.data.data_points[0].start_time_unix_nano, metric.data.data_points[0].time_unix_nano))

    assert intervals[0][1] == intervals[1][0]
    assert intervals[1][1] - intervals[1][0] == timedelta(seconds=10) / timedelta(microseconds=1) * 1000


def test_messages_are_counted_without_an_instrument_for_each() -> None:
    reader = ScrapedMeasurements()
    meters = Meters(
        MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("interlock"),
        system="memory",
        clock=SystemClock(),
    )
    reader.histograms = Histograms(meters.durations, clock=SystemClock())

    meters.sent("answer", 0.002, None)
    meters.sent("answer", 0.002, "UnroutableError")
    meters.consumed("question", None)
    meters.consumed("question", None)
    meters.processed("question", 0.2, None)

    told = metrics_of(reader.get_metrics_data())
    sent, consumed = told["messaging.client.sent.messages"].data, told["messaging.client.consumed.messages"].data
    assert isinstance(sent, Sum)
    assert isinstance(consumed, Sum)
    assert sent.is_monotonic
    assert {(point.attributes or {}).get("error.type"): point.value for point in sent.data_points} == {
        None: 1,
        "UnroutableError": 1,
    }
    assert [point.value for point in consumed.data_points] == [2]
    process = told["messaging.process.duration"].data
    assert isinstance(process, Histogram)
    assert process.data_points[0].attributes == {
        "messaging.system": "memory",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "interlock.message.type": "question",
    }


def test_a_kind_that_was_met_before_allocates_nothing() -> None:
    meters = Meters(MeterProvider(shutdown_on_exit=False).get_meter("i"), system="memory", clock=SystemClock())

    def work(times: int) -> None:
        for _ in range(times):
            meters.sent("answer", 0.002, None)
            meters.consumed("question", None)
            meters.processed("question", 0.2, None)

    work(300)
    tracemalloc.start()
    try:
        work(300)
        before, _ = tracemalloc.get_traced_memory()
        work(10_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1024


def test_the_standard_variable_says_whether_differences_are_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta")
    assert are_differences()
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE")
    assert not are_differences()
