"""What the doctor says of real faults at a broker."""

from __future__ import annotations

import aio_pika
import anyio
import pytest

from agents.doctor.installation import Installation
from bus.harness import eventually
from interlock.agents.doctor import Finding, Verdict
from interlock.agents.doctor.alarms import AlarmsCheck
from interlock.agents.doctor.broker import BrokerCheck
from interlock.agents.doctor.logins import LoginsCheck
from interlock.agents.doctor.permissions import PermissionsCheck
from interlock.agents.doctor.queues import QueuesCheck
from interlock.agents.doctor.topology import TopologyCheck
from interlock.bus.private_process import free_port
from interlock.bus.rabbitmq import ADMIN, VHOST
from interlock.protocol.roles import ALL_ROLES

pytestmark = pytest.mark.rabbitmq


def verdicts(findings: list[Finding]) -> set[Verdict]:
    return {finding.verdict for finding in findings}


def of(findings: list[Finding], subject: str) -> Finding:
    (found,) = (finding for finding in findings if finding.subject == subject)
    return found


async def test_a_healthy_broker_has_nothing_but_agents_that_do_not_run(installation: Installation) -> None:
    for check in (BrokerCheck(), LoginsCheck(), AlarmsCheck(), PermissionsCheck(), TopologyCheck()):
        assert verdicts(await installation.look(check)) == {Verdict.OK}, check.area


async def test_each_node_is_told_by_itself_and_a_dead_one_with_its_cause(installation: Installation) -> None:
    port = free_port()
    url = f"amqp://127.0.0.1:{installation.broker.port}/{VHOST}"
    settings = installation.settings(broker_url=[url, f"amqp://127.0.0.1:{port}/{VHOST}"])

    findings = await installation.look(BrokerCheck(), settings)

    assert of(findings, f"127.0.0.1:{installation.broker.port}").evidence.startswith("RabbitMQ 3.")
    dead = of(findings, f"127.0.0.1:{port}")
    assert dead.verdict is Verdict.FAILED
    assert "Connect call failed" in dead.evidence


async def test_a_virtual_host_that_does_not_exist_is_named_as_a_possible_cause(installation: Installation) -> None:
    settings = installation.settings(broker_url=f"amqp://127.0.0.1:{installation.broker.port}/nowhere")

    (finding,) = await installation.look(BrokerCheck(), settings)

    assert finding.verdict is Verdict.FAILED
    assert "does the virtual host exist" in finding.evidence


async def test_a_wrong_password_is_told_by_agent_and_never_shown(installation: Installation) -> None:
    passwords = {**installation.users.passwords, "qa-agent": "not-the-password"}
    findings = await installation.look(LoginsCheck(), installation.settings(broker={"passwords": passwords}))

    assert {finding.subject for finding in findings if finding.verdict is Verdict.FAILED} == {"qa-agent"}
    assert of(findings, ADMIN).verdict is Verdict.OK
    assert "not-the-password" not in repr(findings)


async def test_without_any_agent_s_login_that_is_said(installation: Installation) -> None:
    settings = installation.settings(management=False, broker={"passwords": {}})

    (finding,) = await installation.look(LoginsCheck(), settings)

    assert finding.verdict is Verdict.UNKNOWN
    assert "broker.passwords is empty" in finding.evidence


async def test_a_memory_alarm_is_failed_with_what_to_do(installation: Installation) -> None:
    await installation.broker.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        findings = await eventually(
            lambda: installation.look(AlarmsCheck()), lambda found: Verdict.FAILED in verdicts(found)
        )
    finally:
        await installation.broker.control("set_vm_memory_high_watermark", "0.4")
    await eventually(lambda: installation.look(AlarmsCheck()), lambda found: verdicts(found) == {Verdict.OK})

    (finding,) = findings
    assert finding.subject.startswith("memory of interlock-")
    assert "publishers wait" in (finding.advice or "")


async def test_a_revoked_and_a_too_wide_permission_are_told_apart(installation: Installation) -> None:
    (row,) = (
        row
        for row in installation.users.document["topic_permissions"]
        if row["user"] == "qa-agent" and row["exchange"] == "interlock.messages"
    )
    set_to = ("set_topic_permissions", "-p", VHOST, "qa-agent", "interlock.messages")
    try:
        await installation.broker.control(*set_to, "^$", row["read"])
        revoked = await installation.look(PermissionsCheck())
        await installation.broker.control(*set_to, ".*", row["read"])
        wide = await installation.look(PermissionsCheck())
    finally:
        await installation.broker.control(*set_to, row["write"], row["read"])

    finding = of(revoked, "qa-agent")
    assert finding.verdict is Verdict.FAILED
    assert finding.evidence.startswith("may not write interlock.messages: all.agent_announced")
    finding = of(wide, "qa-agent")
    assert finding.verdict is Verdict.WARNING
    assert "beyond the catalogue" in finding.evidence
    assert verdicts(await installation.look(PermissionsCheck())) == {Verdict.OK}


async def test_a_user_that_is_missing_is_failed(installation: Installation) -> None:
    everybody = anyio.Path(installation.folder / "definitions.json")
    await everybody.write_text(installation.users.to_json())
    await installation.broker.control("delete_user", "qa-agent")
    try:
        finding = of(await installation.look(PermissionsCheck()), "qa-agent")
    finally:
        await installation.broker.control("import_definitions", str(everybody))

    assert (finding.verdict, finding.evidence) == (Verdict.FAILED, "the broker has no such user")


async def test_a_missing_queue_a_changed_argument_and_an_extra_queue_are_told(installation: Installation) -> None:
    channel = installation.channel
    await channel.queue_delete("qa-agent")
    old = await channel.declare_queue("old-agent", durable=True, arguments={"x-queue-type": "quorum"})
    await old.bind("interlock.messages", "old-agent.#")
    try:
        settings = installation.settings(topology={"agents": {"deploy-agent": {"max_length": 9}}})
        findings = await installation.look(TopologyCheck(), settings)
        blind = await installation.look(TopologyCheck(), installation.settings(management=False))
    finally:
        await channel.queue_delete("old-agent")

    assert of(findings, "qa-agent").verdict is Verdict.FAILED
    assert of(findings, "binding of qa-agent").verdict is Verdict.FAILED
    changed = of(findings, "deploy-agent")
    assert (changed.verdict, changed.evidence) == (Verdict.WARNING, "x-max-length: has 1000000, wants 9")
    assert of(findings, "orphans").evidence.startswith("1 queues")
    assert of(blind, "qa-agent").verdict is Verdict.FAILED
    assert [f.verdict for f in blind if f.subject == "the rest"] == [Verdict.UNKNOWN, Verdict.UNKNOWN]


@pytest.mark.parametrize("management", [True, False])
async def test_messages_that_nobody_takes_and_parked_ones_are_told(
    installation: Installation, management: bool
) -> None:
    channel = installation.channel
    for queue in ("qa-agent", "security-agent.parked"):
        await channel.default_exchange.publish(aio_pika.Message(b"{}"), queue)
    security = await (await channel.get_queue("security-agent")).consume(nothing)
    settings = installation.settings(management=management)
    try:
        findings = await eventually(
            lambda: installation.look(QueuesCheck(), settings),
            lambda found: (
                {f.subject for f in found} >= {"security-agent.parked"}
                and Verdict.UNKNOWN not in verdicts(found)
                and of(found, "security-agent").verdict is Verdict.OK
            ),
        )
    finally:
        await (await channel.get_queue("security-agent")).cancel(security)
        for queue in ("qa-agent", "security-agent.parked"):
            await (await channel.get_queue(queue)).purge()

    waiting = of(findings, "qa-agent")
    assert (waiting.verdict, waiting.evidence) == (Verdict.FAILED, "1 messages wait and nobody takes them")
    assert "interlock run qa-agent" in (waiting.advice or "")
    assert of(findings, "deploy-agent").verdict is Verdict.WARNING
    parked = of(findings, "security-agent.parked")
    assert "interlock dead list --agent security-agent" in (parked.advice or "")
    assert {finding.subject for finding in findings} >= set(ALL_ROLES)


async def nothing(_: object) -> None:
    """A consumer that is there."""
