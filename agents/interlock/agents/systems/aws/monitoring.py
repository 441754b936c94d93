"""Alarms, dashboard and alert route of one database, set up and proven; it decides no threshold."""

from __future__ import annotations

__all__ = ["AlertReceipts", "DatabaseMonitoring", "MonitoringSetup", "Subscription"]

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from interlock.agents.systems.aws.alarms import Alarm, alarms_for
from interlock.agents.systems.aws.desired import MANAGER
from interlock.agents.systems.aws.resource import pairs
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.agents.systems.aws.topics import topic_arn, topic_name
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.values import CheckResult, CheckVerdict


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who hears the alerts, as `Subscribe` takes it."""

    protocol: str
    """`https`, `http`, `sqs`, `email`…"""
    endpoint: str


@dataclass(frozen=True, slots=True)
class MonitoringSetup:
    """What watches a database now."""

    alarms: tuple[str, ...]
    """Names, in the order W1, W2, W3."""
    dashboard: str
    topic: str
    """ARN."""


class AlertReceipts(Protocol):
    """The far end of an alert route: knows what has arrived."""

    async def received(self, message_id: str) -> bool:
        """Return whether the message with this SNS id arrived, having waited a bounded time for it."""
        ...


class DatabaseMonitoring:
    """Sets up and proves the monitoring of databases."""

    def __init__(self, aws: Aws, *, subscriptions: Sequence[Subscription] = ()) -> None:
        self._aws = aws
        self._subscriptions = tuple(subscriptions)

    async def configure(self, spec: DatabaseSpec) -> MonitoringSetup:
        """Put the alarms, the dashboard and the subscriptions in place; repeating it changes nothing.

        Raises PermanentError for a class whose limits are not known, and what AWS's refusals are.
        """
        topic = await topic_arn(self._aws, topic_name(spec.environment))
        alarms = alarms_for(spec)
        tags = {"Environment": spec.environment.value, "ManagedBy": MANAGER}
        await self._aws.sns.call("create_topic", {"Name": topic.rpartition(":")[2], "Tags": pairs(tags)}, about=topic)
        for subscription in self._subscriptions:
            request = {"TopicArn": topic, "Protocol": subscription.protocol, "Endpoint": subscription.endpoint}
            await self._aws.sns.call("subscribe", request, about=topic)
        for alarm in alarms:
            request = alarm.request(topic) | {"Tags": pairs(tags)}
            await self._aws.cloudwatch.call("put_metric_alarm", request, about=alarm.name)
        body = json.dumps(_dashboard(alarms, self._aws.region), sort_keys=True)
        request = {"DashboardName": spec.identifier, "DashboardBody": body}
        await self._aws.cloudwatch.call("put_dashboard", request, about=spec.identifier)
        return MonitoringSetup(tuple(alarm.name for alarm in alarms), spec.identifier, topic)

    async def prove(self, spec: DatabaseSpec, *, receipts: AlertReceipts | None = None) -> tuple[CheckResult, ...]:
        """Read everything back and send one alert, marked as synthetic, through the topic.

        Without `receipts` nobody here can see the far end: arrival is then reported as unknown.
        """
        topic = await topic_arn(self._aws, topic_name(spec.environment))
        checks: list[CheckResult] = []
        for alarm in alarms_for(spec):
            checks += [await self._alarm(alarm, topic), await self._data(alarm)]
        checks.append(await self._subscribed(topic))
        text = json.dumps({"synthetic": True, "database": spec.identifier, "text": "Monitoring test, no action needed"})
        request = {"TopicArn": topic, "Subject": f"[SYNTHETIC] {spec.identifier}"[:100], "Message": text}
        message: str = (await self._aws.sns.call("publish", request, about=topic))["MessageId"]
        sent = f"SNS accepted the synthetic alert as {message}"
        checks.append(_check("alertPublished", "A synthetic alert was sent", CheckVerdict.PASS, sent))
        if receipts is None:
            verdict, evidence = CheckVerdict.UNKNOWN, f"{sent}; nothing that we can read reports its arrival"
        else:
            arrived = await receipts.received(message)
            verdict = CheckVerdict.PASS if arrived else CheckVerdict.FAIL
            evidence = f"the subscriber {'has' if arrived else 'has not'} received {message}"
        return (*checks, _check("alertReceived", "The synthetic alert arrived", verdict, evidence))

    async def _alarm(self, alarm: Alarm, topic: str) -> CheckResult:
        request = {"AlarmNames": [alarm.name]}
        found = await self._aws.cloudwatch.listed("describe_alarms", "MetricAlarms", request, about=alarm.name)
        title = f"Alarm {alarm.name}"
        if not found:
            return _check(alarm.id, title, CheckVerdict.FAIL, f"DescribeAlarms knows no {alarm.name}")
        wanted = alarm.request(topic)
        different = sorted(name for name, value in wanted.items() if found[0].get(name) != value)
        if different or not found[0].get("ActionsEnabled", True):
            return _check(alarm.id, title, CheckVerdict.FAIL, f"differs in {', '.join(different) or 'ActionsEnabled'}")
        evidence = f"{alarm.description}, on {alarm.database}; alarm and OK actions go to {topic}"
        return _check(alarm.id, title, CheckVerdict.PASS, evidence)

    async def _data(self, alarm: Alarm) -> CheckResult:
        request = {
            "Namespace": "AWS/RDS",
            "MetricName": alarm.metric,
            "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": alarm.database}],
        }
        found = await self._aws.cloudwatch.listed("list_metrics", "Metrics", request, about=alarm.name)
        verdict = CheckVerdict.PASS if found else CheckVerdict.UNKNOWN
        evidence = f"ListMetrics {'has' if found else 'has no'} {alarm.metric} of {alarm.database}"
        return _check(f"{alarm.id}-data", f"{alarm.metric} receives data", verdict, evidence)

    async def _subscribed(self, topic: str) -> CheckResult:
        request = {"TopicArn": topic}
        found = await self._aws.sns.listed("list_subscriptions_by_topic", "Subscriptions", request, about=topic)
        confirmed = [one for one in found if str(one["SubscriptionArn"]).startswith("arn:")]
        kinds = ", ".join(sorted(str(one["Protocol"]) for one in confirmed)) or "nobody would hear an alarm"
        verdict = CheckVerdict.PASS if confirmed else CheckVerdict.FAIL
        evidence = f"{len(confirmed)} of {len(found)} subscriptions confirmed: {kinds}"
        return _check("alertSubscription", "Somebody listens to the alerts", verdict, evidence)


def _check(identifier: str, title: str, verdict: CheckVerdict, evidence: str) -> CheckResult:
    return CheckResult(id=identifier, title=title, verdict=verdict, evidence=evidence[:500])


def _dashboard(alarms: Sequence[Alarm], region: str) -> Document:
    """Return a dashboard body: one graph per alarm, with its threshold (CloudWatch, "Dashboard body structure")."""
    return {
        "widgets": [
            {
                "type": "metric",
                "x": 8 * column,
                "y": 0,
                "width": 8,
                "height": 6,
                "properties": {
                    "title": alarm.metric,
                    "region": region,
                    "view": "timeSeries",
                    "stat": "Average",
                    "period": 60,
                    "metrics": [["AWS/RDS", alarm.metric, "DBInstanceIdentifier", alarm.database]],
                    "annotations": {"horizontal": [{"label": alarm.description, "value": alarm.threshold}]},
                },
            }
            for column, alarm in enumerate(alarms)
        ]
    }
