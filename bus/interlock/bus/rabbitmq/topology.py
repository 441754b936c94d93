"""What the broker holds for the agents, as data: printable as a plan, declared idempotently; it knows no connection.

Only addressed queues are bound to the message exchange: a stream or an observer bound to `#` there would route every
message, and a mandatory publish would never again report an agent that does not exist.
"""

from __future__ import annotations

__all__ = [
    "JOURNAL",
    "MESSAGES",
    "PARKED",
    "Binding",
    "Exchange",
    "Plan",
    "Queue",
    "observer_prefix",
    "parking_queue",
    "plan",
    "reply_prefix",
]

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.bus.transport import AgentQueue, Topology, routing_key
from interlock.protocol.message import ALL

MESSAGES = "interlock.messages"
"""The topic exchange that agents write to."""

JOURNAL = "interlock.journal"
"""The topic exchange of copies, and the stream that keeps them."""

PARKED = "interlock.parked"
"""The dead-letter exchange; its routing key is the agent."""


def parking_queue(agent: str) -> str:
    """Return the name of the queue in which an agent's refused messages lie."""
    return f"{agent}.parked"


def reply_prefix(agent: str) -> str:
    """Return how the names of an agent's reply queues, which are also their addresses, begin."""
    return f"reply.{agent}."


def observer_prefix(agent: str) -> str:
    """Return how the names of an agent's observer queues begin."""
    return f"observe.{agent}."


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange."""

    name: str

    def __str__(self) -> str:
        return f"exchange {self.name} (topic, durable)"


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue or stream with its arguments."""

    name: str
    arguments: Mapping[str, str | int | bool]

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={value}" for name, value in sorted(self.arguments.items()))
        return f"queue {self.name} ({arguments})"


@dataclass(frozen=True, slots=True)
class Binding:
    """What an exchange routes to a queue."""

    queue: str
    exchange: str
    pattern: str

    def __str__(self) -> str:
        return f"bind {self.exchange} -> {self.queue} ({self.pattern})"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a topology needs, in the order of declaration."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, (*self.exchanges, *self.queues, *self.bindings)))


def plan(topology: Topology, *, version: tuple[int, ...] = (3, 10)) -> Plan:
    """Return what to declare on a broker of this version."""
    queues = [_journal(topology)]
    bindings = [Binding(JOURNAL, JOURNAL, "#")]
    for agent in topology.agents:
        # A parking queue comes first: a message that finds none is dropped.
        queues += [_parking(agent, version), _inbound(agent)]
        bindings += [
            Binding(parking_queue(agent.agent), PARKED, agent.agent),
            Binding(agent.agent, MESSAGES, f"{agent.agent}.#"),
            *(Binding(agent.agent, MESSAGES, routing_key(ALL, type_)) for type_ in sorted(agent.announcements)),
        ]
    return Plan((Exchange(MESSAGES), Exchange(JOURNAL), Exchange(PARKED)), tuple(queues), tuple(bindings))


def _journal(topology: Topology) -> Queue:
    return Queue(
        JOURNAL,
        {
            "x-queue-type": "stream",
            "x-max-age": f"{int(topology.journal_max_age)}s",
            "x-max-length-bytes": topology.journal_max_bytes,
        },
    )


def _inbound(agent: AgentQueue) -> Queue:
    return Queue(
        agent.agent,
        {
            "x-queue-type": "quorum",
            "x-single-active-consumer": True,
            "x-delivery-limit": agent.delivery_limit,
            "x-dead-letter-exchange": PARKED,
            "x-dead-letter-routing-key": agent.agent,
            # Needs reject-publish (rabbitmq.com/docs/quorum-queues, "At-least-once dead lettering").
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
            "x-max-length": agent.max_length,
        },
    )


def _parking(agent: AgentQueue, version: tuple[int, ...]) -> Queue:
    arguments: dict[str, str | int | bool] = {"x-queue-type": "quorum"}
    if version >= (4,):
        # RabbitMQ 4 gives every quorum queue a limit of 20; looking at a parked message must never drop it.
        arguments["x-delivery-limit"] = -1
    return Queue(parking_queue(agent.agent), arguments)
