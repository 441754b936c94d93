"""Alarms and dashboard are set up, read back, and a synthetic alert really reaches its subscriber."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from interlock.agents.systems.aws import Aws, DatabaseMonitoring, Subscription
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.values import CheckResult, CheckVerdict


class Operators:
    """An HTTP endpoint that people would watch."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[bytes] = []
        self._arrived = anyio.Event()

    async def answer(self, stream: SocketStream) -> None:
        async with stream:
            request = await stream.receive()
            while b"SYNTHETIC" not in request and b"Subscription" not in request:
                request += await stream.receive()
            self.bodies.append(request)
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        if b"SYNTHETIC" in request:
            self._arrived.set()

    async def received(self, message_id: str) -> bool:
        with anyio.move_on_after(5.0):
            await self._arrived.wait()
        return any(message_id.encode() in body for body in self.bodies)


@pytest.fixture
async def operators() -> AsyncIterator[Operators]:
    subscriber = Operators()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port: int = listener.extra(SocketAttribute.local_port)  # noqa: S610 - a socket attribute, not a query
        subscriber.url = f"http://127.0.0.1:{port}/alerts"
        tasks.start_soon(listener.serve, subscriber.answer)
        yield subscriber
        tasks.cancel_scope.cancel()


def verdicts(checks: tuple[CheckResult, ...]) -> dict[str, CheckVerdict]:
    return {check.id: check.verdict for check in checks}


async def test_a_synthetic_alert_reaches_the_operators(aws: Aws, spec: DatabaseSpec, operators: Operators) -> None:
    monitoring = DatabaseMonitoring(aws, subscriptions=[Subscription("http", operators.url)])
    await monitoring.configure(spec)

    proven = verdicts(await monitoring.prove(spec, receipts=operators))

    assert proven == {
        "W1": CheckVerdict.PASS,
        "W1-data": CheckVerdict.UNKNOWN,
        "W2": CheckVerdict.PASS,
        "W2-data": CheckVerdict.UNKNOWN,
        "W3": CheckVerdict.PASS,
        "W3-data": CheckVerdict.UNKNOWN,
        "alertSubscription": CheckVerdict.PASS,
        "alertPublished": CheckVerdict.PASS,
        "alertReceived": CheckVerdict.PASS,
    }


async def test_without_a_subscriber_the_route_fails_and_arrival_is_unknown(aws: Aws, spec: DatabaseSpec) -> None:
    monitoring = DatabaseMonitoring(aws)
    await monitoring.configure(spec)

    proven = verdicts(await monitoring.prove(spec))

    assert proven["alertSubscription"] is CheckVerdict.FAIL
    assert proven["alertReceived"] is CheckVerdict.UNKNOWN


async def test_configuring_again_changes_nothing(aws: Aws, spec: DatabaseSpec) -> None:
    monitoring = DatabaseMonitoring(aws, subscriptions=[Subscription("email", "ops@example.com")])

    first = await monitoring.configure(spec)
    second = await monitoring.configure(spec)
    alarms = await aws.cloudwatch.listed("describe_alarms", "MetricAlarms", about="all")
    subscribed = await aws.sns.listed("list_subscriptions", "Subscriptions", about="all")

    assert first == second
    assert (len(alarms), len(subscribed)) == (3, 1)


async def test_the_dashboard_draws_each_alarms_metric_and_threshold(aws: Aws, spec: DatabaseSpec) -> None:
    setup = await DatabaseMonitoring(aws).configure(spec)
    answer = await aws.cloudwatch.call("get_dashboard", {"DashboardName": setup.dashboard}, about=setup.dashboard)
    widgets = json.loads(answer["DashboardBody"])["widgets"]

    assert [widget["properties"]["metrics"][0][1] for widget in widgets] == [
        "CPUUtilization",
        "FreeStorageSpace",
        "DatabaseConnections",
    ]
    assert widgets[0]["properties"]["annotations"]["horizontal"][0]["value"] == 80.0


async def test_an_alarm_that_was_weakened_fails_its_proof(aws: Aws, spec: DatabaseSpec) -> None:
    monitoring = DatabaseMonitoring(aws)
    setup = await monitoring.configure(spec)
    found = await aws.cloudwatch.listed("describe_alarms", "MetricAlarms", about="all")
    weakened = next(alarm for alarm in found if alarm["AlarmName"] == setup.alarms[0])
    kept = ("AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods")
    request = {name: weakened[name] for name in kept}
    request |= {"ComparisonOperator": "GreaterThanThreshold", "Threshold": 99.0}
    await aws.cloudwatch.call("put_metric_alarm", request, about=setup.alarms[0])

    checks = {check.id: check for check in await monitoring.prove(spec)}

    assert checks["W1"].verdict is CheckVerdict.FAIL
    assert "Threshold" in checks["W1"].evidence
    assert checks["W2"].verdict is CheckVerdict.PASS


async def test_an_alarm_whose_metric_has_data_is_known_to_work(aws: Aws, spec: DatabaseSpec) -> None:
    monitoring = DatabaseMonitoring(aws)
    await monitoring.configure(spec)
    datum = {
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "DBInstanceIdentifier", "Value": spec.identifier}],
        "Value": 12.0,
    }
    await aws.cloudwatch.call("put_metric_data", {"Namespace": "AWS/RDS", "MetricData": [datum]}, about="CPU")

    assert verdicts(await monitoring.prove(spec))["W1-data"] is CheckVerdict.PASS
