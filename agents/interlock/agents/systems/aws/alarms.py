"""Which alarms a database needs, with thresholds that it can really reach; it sets none up."""

from __future__ import annotations

__all__ = ["Alarm", "alarms_for", "max_connections"]

from dataclasses import dataclass
from typing import Literal

from interlock.agents.systems.aws.service import Document
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec

_GIB = 1024**3
_LOW_STORAGE_GB = 10
_PERIOD = 300
"""Seconds; RDS reports each minute, so that one slow minute raises no alarm."""

# GiB of the size `large`, by the family's letter; other sizes are multiples (AWS, "Amazon RDS instance types").
_LARGE_GIB = {"t": 8, "m": 8, "r": 16}
_SIZES = {"micro": 0.125, "small": 0.25, "medium": 0.5, "large": 1.0, "xlarge": 2.0}
# RDS takes part of an instance's memory for itself: DBInstanceClassMemory is about a tenth below the nominal figure.
_USABLE = 0.9


@dataclass(frozen=True, slots=True)
class Alarm:
    """One CloudWatch alarm on one metric of one database."""

    id: str
    """`W1`, `W2` or `W3`."""
    name: str
    metric: str
    """A metric of the namespace `AWS/RDS`."""
    description: str
    comparison: Literal["GreaterThanThreshold", "LessThanThreshold"]
    threshold: float
    database: str

    def request(self, topic_arn: str) -> Document:
        """Return the parameters of `PutMetricAlarm` that define this alarm."""
        return {
            "AlarmName": self.name,
            "AlarmDescription": self.description,
            "Namespace": "AWS/RDS",
            "MetricName": self.metric,
            "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": self.database}],
            "Statistic": "Average",
            "Period": _PERIOD,
            "EvaluationPeriods": 2,
            "Threshold": self.threshold,
            "ComparisonOperator": self.comparison,
            "AlarmActions": [topic_arn],
            "OKActions": [topic_arn],
        }


def max_connections(spec: DatabaseSpec) -> int:
    """Return how many connections the engine accepts by default in this instance class, rounded down.

    PostgreSQL: LEAST(DBInstanceClassMemory / 9531392, 5000); MySQL and MariaDB: DBInstanceClassMemory / 12582880
    (Amazon RDS User Guide, "Maximum number of database connections").

    Raises PermanentError for a class whose memory is not known.
    """
    usable = _memory_gib(spec.instance_class) * _GIB * _USABLE
    if spec.engine is DatabaseEngine.POSTGRES:
        return min(int(usable / 9_531_392), 5_000)
    return int(usable / 12_582_880)


def alarms_for(spec: DatabaseSpec) -> tuple[Alarm, ...]:
    """Return the alarms W1 (CPU), W2 (free storage) and W3 (connections). Raises what `max_connections` raises."""
    # Ten GB free is half of a small volume: it would ring from the start.
    low = _LOW_STORAGE_GB if spec.storage_gb > 2 * _LOW_STORAGE_GB else spec.storage_gb / 10
    connections = max_connections(spec)
    busy = int(connections * 0.9)
    name = spec.identifier
    return (
        Alarm("W1", f"{name}-high-cpu", "CPUUtilization", "CPU above 80 %", "GreaterThanThreshold", 80.0, name),
        Alarm(
            "W2",
            f"{name}-low-storage",
            "FreeStorageSpace",
            f"Less than {low:g} of {spec.storage_gb} GB free",
            "LessThanThreshold",
            float(int(low * _GIB)),
            name,
        ),
        Alarm(
            "W3",
            f"{name}-high-connections",
            "DatabaseConnections",
            f"More than {busy} of about {connections} connections",
            "GreaterThanThreshold",
            float(busy),
            name,
        ),
    )


def _memory_gib(instance_class: str) -> float:
    _, family, size = instance_class.split(".")
    multiple = _SIZES.get(size)
    if multiple is None and size.removesuffix("xlarge").isdigit():
        multiple = 2.0 * int(size.removesuffix("xlarge"))
    if multiple is None or family[0] not in _LARGE_GIB:
        raise PermanentError(f"the memory of {instance_class!r} is not known; use a class of the t, m or r families")
    return _LARGE_GIB[family[0]] * multiple
