"""What Prometheus reads: the instruments of several agents in its text format; it measures nothing.

Names follow https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/: dots become
underscores, units are spelled out, counters end in `_total`. Every sample says which `agent` it is from.
"""

from __future__ import annotations

__all__ = ["exposition"]

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from opentelemetry.sdk.metrics.export import Gauge, Histogram, HistogramDataPoint, InMemoryMetricReader, Metric, Sum
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family

_UNITS = {"s": "_seconds", "By": "_bytes"}


def exposition(readers: Mapping[str, InMemoryMetricReader]) -> bytes:
    """Return the present state of each agent's instruments, by agent."""
    registry = CollectorRegistry()
    registry.register(_Agents(readers))
    return generate_latest(registry)


class _Agents:
    """A collector in the form that `prometheus_client` asks."""

    def __init__(self, readers: Mapping[str, InMemoryMetricReader]) -> None:
        self._readers = readers

    def describe(self) -> Iterable[Family]:
        """Nothing: names are known once something was measured."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Return one family per instrument, with the samples of all agents."""
        families: dict[str, Family] = {}
        for agent, reader in self._readers.items():
            for metric in _metrics(reader):
                _add(families, metric, agent)
        return tuple(families.values())


def _metrics(reader: InMemoryMetricReader) -> Iterator[Metric]:
    data = reader.get_metrics_data()
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _add(families: dict[str, Family], metric: Metric, agent: str) -> None:
    name = metric.name.replace(".", "_") + _UNITS.get(metric.unit or "", "")
    text = metric.description or metric.name
    match metric.data:
        case Histogram(data_points=histograms):
            family = families.setdefault(name, HistogramMetricFamily(name, text))
            for histogram in histograms:
                _histogram(family, name, _labels(agent, histogram.attributes), histogram)
        case Sum(data_points=points, is_monotonic=True):
            family = families.setdefault(name, CounterMetricFamily(name, text))
            for point in points:
                family.add_sample(f"{name}_total", _labels(agent, point.attributes), point.value)
        case Sum(data_points=points) | Gauge(data_points=points):
            family = families.setdefault(name, GaugeMetricFamily(name, text))
            for point in points:
                family.add_sample(name, _labels(agent, point.attributes), point.value)
        case _:
            raise AssertionError(f"{metric.name} is of a kind that no instrument of ours has")


def _histogram(family: Family, name: str, labels: dict[str, str], point: HistogramDataPoint) -> None:
    total = 0
    bounds = [*(f"{bound:g}" for bound in point.explicit_bounds), "+Inf"]
    for bound, count in zip(bounds, point.bucket_counts, strict=True):
        total += count
        family.add_sample(f"{name}_bucket", {**labels, "le": bound}, total)
    family.add_sample(f"{name}_count", labels, total)
    family.add_sample(f"{name}_sum", labels, point.sum)


def _labels(agent: str, attributes: Mapping[str, Any] | None) -> dict[str, str]:
    return {"agent": agent, **{key.replace(".", "_"): str(value) for key, value in (attributes or {}).items()}}
