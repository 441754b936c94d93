"""What a broker holds, as one value, whoever looked; it knows no connection.

What could not be seen is part of it: nothing follows from the absence of what nobody looked for.
"""

from __future__ import annotations

__all__ = ["Observation", "SeenExchange", "SeenQueue", "from_management"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlock.bus.rabbitmq.management import Management
from interlock.bus.rabbitmq.topology import Binding


@dataclass(frozen=True, slots=True)
class SeenQueue:
    """A queue or stream as it is."""

    name: str
    arguments: Mapping[str, str | int | bool]
    durable: bool = True
    messages: int | None = None
    """Waiting and in consumers' hands; None: not counted yet."""
    consumers: int | None = None
    transient: bool = False
    """Exclusive, deleted with its last consumer, or expiring: it goes away by itself."""


@dataclass(frozen=True, slots=True)
class SeenExchange:
    """An exchange as it is."""

    name: str
    kind: str
    durable: bool = True


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that was seen of one virtual host."""

    queues: Mapping[str, SeenQueue]
    exchanges: Mapping[str, SeenExchange]
    bindings: frozenset[Binding] | None = None
    """None: nobody looked; AMQP cannot list them."""
    unseen: tuple[str, ...] = ()
    """Sentences on what was not looked at, and why."""

    @property
    def sees_everything(self) -> bool:
        """Whether what is not in here does not exist."""
        return self.bindings is not None


async def from_management(management: Management) -> Observation:
    """Look by the management API; see `Management.get` for what is raised. Counts are some seconds old."""
    queues = await management.table("queues")
    exchanges = await management.table("exchanges")
    bindings = await management.table("bindings")
    return Observation(
        queues={row["name"]: _queue(row) for row in queues},
        exchanges={
            row["name"]: SeenExchange(row["name"], row["type"], row["durable"]) for row in exchanges if row["name"]
        },
        bindings=frozenset(
            Binding(row["destination"], row["source"], row["routing_key"])
            for row in bindings
            if row["destination_type"] == "queue" and row["source"]  # the default exchange binds every queue
        ),
    )


def _queue(row: Mapping[str, Any]) -> SeenQueue:
    arguments = row.get("arguments") or {}
    return SeenQueue(
        name=row["name"],
        arguments=arguments,
        durable=row["durable"],
        messages=row.get("messages"),
        consumers=row.get("consumers"),
        transient=bool(row.get("exclusive") or row["auto_delete"] or "x-expires" in arguments),
    )
