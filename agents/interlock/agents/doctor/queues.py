"""Whether queues are taken from, and what lies in them; it knows no message."""

from __future__ import annotations

__all__ = ["QueuesCheck"]

from collections.abc import Sequence

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward
from interlock.bus.rabbitmq.observation import Observation
from interlock.bus.rabbitmq.topology import parking_queue
from interlock.protocol.roles import CONSOLE, TEAM

_MANY = 1_000
"""Messages from which on a queue with a consumer is worth a word."""


class QueuesCheck:
    """Consumers, backlog and parked messages of every agent's queue."""

    area = "queues"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Count."""
        seen = await ward.observation()
        findings = [finding for name in ward.agents for finding in _inbound(name, seen)]
        findings += [finding for name in ward.agents for finding in _parked(name, seen)]
        return findings


def _inbound(name: str, seen: Observation) -> list[Finding]:
    queue = seen.queues.get(name)
    if queue is None:
        return []  # the topology says so
    if queue.messages is None or queue.consumers is None:
        return [Finding.unknown(name, "the broker has not counted its queue yet", "look again in some seconds")]
    waiting = f"{queue.messages} messages wait"
    if name == CONSOLE:
        return [Finding.ok(name, f"{waiting} for people; nobody has to take them")]
    if queue.consumers == 0 and queue.messages:
        return [Finding.failed(name, f"{waiting} and nobody takes them", _start(name))]
    if queue.consumers == 0:
        return [Finding.warning(name, "nobody takes from its queue", _start(name))]
    if queue.messages >= _MANY:
        advice = "see whether it keeps up: its outside systems, runtime.concurrency, dead messages in its store"
        return [Finding.warning(name, f"{waiting}, {queue.consumers} consumers", advice)]
    return [Finding.ok(name, f"{waiting}, {queue.consumers} consumers")]


def _start(name: str) -> str:
    command = f"`interlock run {name}`" if name in TEAM else "its process"
    return f"start {command}, unless this agent is not meant to run"


def _parked(name: str, seen: Observation) -> list[Finding]:
    queue = seen.queues.get(parking_queue(name))
    if queue is None or not queue.messages:
        return []
    return [
        Finding.warning(
            queue.name,
            f"{queue.messages} messages were refused or came back too often",
            f"see why: `interlock dead list --agent {name}`, and {name}'s log",
        )
    ]
