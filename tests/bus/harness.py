"""What the bus's tests share: messages, and how to wait for deliveries with a deadline."""

from __future__ import annotations

__all__ = [
    "AGENTS",
    "ALLOWED",
    "DEADLINE",
    "RESTRICTED",
    "Harness",
    "eventually",
    "nothing_arrives",
    "outgoing",
    "take",
]

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import anyio

from interlock.bus.transport import AgentQueue, Delivery, Outgoing, Transport
from interlock.protocol.ids import new_id

AGENTS = ("alpha-agent", "beta-agent", "gamma-agent")
ALLOWED = {
    sender: {
        (receiver, type_)
        for receiver in (*AGENTS, "all", "nobody-agent", "late-agent")
        for type_ in ("ping", "pong", "task_cancelled", "task_declined", "task_progress")
    }
    for sender in AGENTS
}
"""Every agent may send these types to every other; nobody may send `destroy`."""

RESTRICTED = "delta-agent"
"""A user that may send one type to one receiver, and observe nothing."""

DEADLINE = 10.0

T = TypeVar("T")


class Harness(Protocol):
    """One broker as a conformance test sees it; everything that it opened is closed after the test."""

    @property
    def name(self) -> str:
        """The transport's name in `Features`."""
        ...

    async def declare(self, *agents: str | AgentQueue) -> None:
        """Declare these agents, by name with the default limits."""
        ...

    async def connect(self, identity: str) -> Transport:
        """Connect with that agent's credentials."""
        ...


def outgoing(body: bytes = b"{}", **changes: Any) -> Outgoing:
    """Return a ping from alpha-agent to beta-agent, with changes."""
    fields: dict[str, Any] = {
        "message_id": new_id(),
        "sender": "alpha-agent",
        "receiver": "beta-agent",
        "type": "ping",
        "conversation_id": new_id(),
        "sent_at": datetime.now(UTC),
    }
    return Outgoing(body=body, **(fields | changes))


async def take(deliveries: AsyncIterator[Delivery], count: int = 1, *, ack: bool = True) -> list[Delivery]:
    """Return the next deliveries, acknowledged unless told otherwise; fails when they do not come in time."""
    taken: list[Delivery] = []
    with anyio.fail_after(DEADLINE):
        while len(taken) < count:
            delivery = await anext(deliveries)
            if ack:
                await delivery.ack()
            taken.append(delivery)
    return taken


async def nothing_arrives(deliveries: AsyncIterator[Delivery], *, within: float = 0.3) -> None:
    """Fail when a delivery comes within this many seconds."""
    with anyio.move_on_after(within):
        unexpected = await anext(deliveries)
        raise AssertionError(f"{unexpected!r} arrived")


async def eventually(look: Callable[[], Awaitable[T]], expected: Callable[[T], bool]) -> T:
    """Look again and again until it is as expected: for what a broker does in its own time."""
    with anyio.fail_after(DEADLINE):
        while not expected(seen := await look()):  # noqa: ASYNC110 - a broker tells nobody when it is done
            await anyio.sleep(0.05)
    return seen
