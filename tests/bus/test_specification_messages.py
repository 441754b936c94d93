"""The specification's three messages, word for word, reach a peer that subscribes to them."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Outgoing, Topology
from interlock.protocol.codec import decode_bare, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message

MESSAGES = Path(__file__).parents[1] / "fixtures" / "messages"


@pytest.mark.parametrize("name", ["infrastructure_ready", "deployment_environment_ready", "security_review_request"])
async def test_a_message_of_the_specification_reaches_its_peer_with_every_field(name: str) -> None:
    body = (MESSAGES / f"{name}.json").read_bytes()
    sent = decode_bare(body, now=SystemClock().now())
    broker, arrived, heard = MemoryBroker(), anyio.Event(), list[Envelope[Message]]()
    broker.declare(Topology((AgentQueue(sent.receiver),)))
    peer = Bus(broker.connect(sent.receiver), clock=SystemClock())

    async def listen(envelope: Envelope[Message]) -> None:
        heard.append(envelope)
        arrived.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.subscribe, listen)
        with anyio.fail_after(5):
            await broker.connect(sent.sender).publish(Outgoing.of(sent))
            await arrived.wait()
        tasks.cancel_scope.cancel()

    (received,) = heard
    assert received == sent
    assert json.loads(encode(received))["payload"] == json.loads(body)["payload"]
