"""What the doctor hears: real heartbeats over a real broker, of agents whose clocks are right, wrong, or silent."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest

from agents.doctor.installation import Installation
from interlock.agents.doctor import Finding, Verdict
from interlock.agents.doctor.presence import PresenceCheck
from interlock.bus.clock import SystemClock
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.transport import Outgoing, Transport
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import ALL
from interlock.protocol.messages.presence import AgentHeartbeat

pytestmark = pytest.mark.rabbitmq

CLOCK = SystemClock()


async def say(transport: Transport, *, ahead: float) -> None:
    moment = CLOCK.now() + timedelta(seconds=ahead)
    name = transport.identity
    beat = Envelope.wrap(AgentHeartbeat(name=name, waiting=0, working=0), sender=name, receiver=ALL, sent_at=moment)
    await transport.publish(Outgoing.of(beat))


@asynccontextmanager
async def working(installation: Installation, *, ahead: float | None) -> AsyncGenerator[None]:
    """Be the QA agent: take messages, and beat under a clock that is ahead by so much; None: keep silent."""
    transport = await RabbitTransport.connect(installation.broker.url("qa-agent"), identity="qa-agent")

    async def beat() -> None:
        while ahead is not None:
            await say(transport, ahead=ahead)
            await CLOCK.sleep(0.1)

    async with anyio.create_task_group() as tasks, transport.consume():
        tasks.start_soon(beat)
        yield
        tasks.cancel_scope.cancel()
    await transport.aclose()


async def listen(installation: Installation) -> Finding:
    settings = installation.settings(management=False, runtime={"heartbeat": 1.0})
    findings = await installation.look(PresenceCheck(), settings, listening=3.0)
    (found,) = (finding for finding in findings if finding.subject == "qa-agent")
    return found


@pytest.mark.parametrize(
    ("ahead", "verdict", "evidence"),
    [
        (0.0, Verdict.OK, "within 2 s"),
        (10.0, Verdict.WARNING, "10 s ahead of this one"),
        (-300.0, Verdict.FAILED, "300 s behind this one"),
        (None, Verdict.FAILED, "takes messages, but no heartbeat came in 3 s"),
    ],
)
async def test_an_agent_at_work_is_judged_by_its_heartbeat(
    installation: Installation, ahead: float | None, verdict: Verdict, evidence: str
) -> None:
    async with working(installation, ahead=ahead):
        finding = await listen(installation)

    assert finding.verdict is verdict
    assert evidence in finding.evidence


async def test_too_short_a_while_proves_nothing(installation: Installation) -> None:
    async with working(installation, ahead=None):
        findings = await installation.look(PresenceCheck(), listening=0.5)

    assert {finding.verdict for finding in findings} == {Verdict.UNKNOWN}


async def test_without_the_console_s_login_or_a_while_to_listen_that_is_said(installation: Installation) -> None:
    (deaf,) = await installation.look(
        PresenceCheck(), installation.settings(management=False, broker={"passwords": {}}), listening=1.0
    )
    (skipped,) = await installation.look(PresenceCheck())

    assert deaf.verdict is skipped.verdict is Verdict.UNKNOWN
    assert "console's login" in deaf.evidence
    assert skipped.evidence == "were not listened for"
