"""The console sees a change through, whatever else lies in its queue."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from interlock.agents.demo.console import Console
from interlock.agents.demo.people import People
from interlock.bus.clock import SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Outgoing, Topology, Transport
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import conversation_of
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome
from interlock.protocol.roles import CONSOLE, COORDINATOR, QA

ISSUE = "PROJ-140"


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue(CONSOLE), AgentQueue(COORDINATOR))))
    return broker


def conclusion() -> Outgoing:
    message = ChangeConcluded(jira_issue=ISSUE, outcome=ChangeOutcome.ACCEPTED, reason="all is well")
    envelope: Envelope[Any] = Envelope.wrap(
        message,
        sender=COORDINATOR,
        receiver=CONSOLE,
        sent_at=SystemClock().now(),
        conversation_id=conversation_of(ISSUE),
    )
    return Outgoing.of(envelope)


async def play(console: Transport) -> None:
    people = People(answers=None, ask=None)
    with anyio.fail_after(5.0):
        await Console(console, issue=ISSUE, people=people, clock=SystemClock(), seen=lambda _: None).run()


async def test_what_is_no_message_is_parked_and_passed_over(broker: MemoryBroker) -> None:
    coordinator, console = broker.connect(COORDINATOR), broker.connect(CONSOLE)
    await coordinator.publish(conclusion()._replace(body=b"{"))
    await coordinator.publish(conclusion())

    await play(console)

    assert [parked.body for parked in await console.parked()] == [b"{"]


async def test_the_end_of_a_change_is_the_coordinator_s_to_say(broker: MemoryBroker) -> None:
    qa, coordinator, console = broker.connect(QA), broker.connect(COORDINATOR), broker.connect(CONSOLE)
    forged = conclusion()._replace(sender=QA)
    await qa.publish(forged)
    await coordinator.publish(conclusion())

    await play(console)

    assert [parked.sender for parked in await console.parked()] == [QA]
