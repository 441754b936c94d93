"""A hundred thousand messages through the memory transport are an ordinary test."""

from __future__ import annotations

import gc
import sys

import anyio

from interlock.bus.bus import Bus
from interlock.bus.clock import VirtualClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskProgress

MESSAGES = 100_000
NOISE = 2_000
"""Blocks of memory: what is in flight, and what the interpreter does beside. One per message would be 50,000."""


async def test_a_hundred_thousand_messages_arrive_whole_and_in_order() -> None:
    broker, clock = MemoryBroker(), VirtualClock()
    broker.declare(Topology((AgentQueue("qa-agent"), AgentQueue("devops-agent"))))
    sender, receiver = (Bus(broker.connect(agent), clock=clock) for agent in ("qa-agent", "devops-agent"))
    received, blocks = 0, dict[int, int]()

    async with anyio.create_task_group() as tasks:

        async def handle(envelope: Envelope[Message]) -> None:
            nonlocal received
            assert isinstance(envelope.payload, TaskProgress)
            assert envelope.payload.step == str(received)
            received += 1
            if received in {MESSAGES // 2, MESSAGES}:
                gc.collect()
                blocks[received] = sys.getallocatedblocks()
            if received == MESSAGES:
                tasks.cancel_scope.cancel()

        tasks.start_soon(receiver.subscribe, handle)
        for number in range(MESSAGES):
            await sender.publish(TaskProgress(step=str(number)), to="devops-agent")

    assert received == MESSAGES
    assert blocks[MESSAGES] - blocks[MESSAGES // 2] < NOISE
