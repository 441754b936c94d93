"""The database's alarms in Terraform; it knows no network."""

from __future__ import annotations

__all__ = ["monitoring_blocks"]

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.agents.systems.terraform.database import MAX_CONNECTIONS
from interlock.agents.systems.terraform.hcl import Block, Expression, Reference
from interlock.protocol.infrastructure import DatabaseSpec

_GIBIBYTE = 1024**3


@dataclass(frozen=True, slots=True)
class _Alarm:
    resource: str
    suffix: str
    metric: str
    operator: str
    threshold: int
    description: str


_ALARMS = (
    _Alarm("db_cpu", "high-cpu", "CPUUtilization", "GreaterThanThreshold", 80, "CPU above 80 %"),
    _Alarm(
        "db_storage",
        "low-storage",
        "FreeStorageSpace",
        "LessThanThreshold",
        10 * _GIBIBYTE,
        "Less than 10 GiB of storage free",
    ),
    _Alarm(
        "db_connections",
        "many-connections",
        "DatabaseConnections",
        "GreaterThanThreshold",
        MAX_CONNECTIONS * 8 // 10,
        f"More than 80 % of the {MAX_CONNECTIONS} connections in use",
    ),
)


def monitoring_blocks(spec: DatabaseSpec, tags: Mapping[str, Expression]) -> tuple[Block, ...]:
    """Return the resources of `monitoring.tf`: one topic, and an alarm for CPU, storage and connections."""
    topic = Block(
        "resource",
        "aws_sns_topic",
        "alerts",
        attributes={
            "name": f"{spec.identifier}-alerts",
            "kms_master_key_id": Reference("aws_kms_key.rds.arn"),
            "tags": tags,
        },
    )
    return (topic, *(_alarm(alarm, spec, tags) for alarm in _ALARMS))


def _alarm(alarm: _Alarm, spec: DatabaseSpec, tags: Mapping[str, Expression]) -> Block:
    return Block(
        "resource",
        "aws_cloudwatch_metric_alarm",
        alarm.resource,
        attributes={
            "alarm_name": f"{spec.identifier}-{alarm.suffix}",
            "alarm_description": f"{spec.identifier}: {alarm.description}",
            "namespace": "AWS/RDS",
            "metric_name": alarm.metric,
            "statistic": "Average",
            "period": 300,
            "evaluation_periods": 2,
            "comparison_operator": alarm.operator,
            "threshold": alarm.threshold,
            "treat_missing_data": "missing",
            "alarm_actions": [Reference("aws_sns_topic.alerts.arn")],
            "ok_actions": [Reference("aws_sns_topic.alerts.arn")],
            # The instance's `id` is its resource id since provider 5.0, under which CloudWatch has no data.
            "dimensions": {"DBInstanceIdentifier": Reference(f"aws_db_instance.{spec.environment.value}.identifier")},
            "tags": tags,
        },
    )
