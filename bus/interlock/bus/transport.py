"""How messages travel: the one interface that every transport implements; it knows bytes and addresses, not meanings.

Both transports pass the same conformance suite; `Features` names what may differ.
"""

from __future__ import annotations

__all__ = [
    "AgentQueue",
    "Arrival",
    "Delivery",
    "Features",
    "JournalEntry",
    "Outgoing",
    "Parked",
    "ParkedDelivery",
    "Topology",
    "Transport",
    "TransportStatus",
    "matches",
    "routing_key",
]

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import ALL


def routing_key(receiver: str, type: str) -> str:  # noqa: A002 - the field's word
    """Return `<to>.<type>`."""
    return f"{receiver}.{type}"


def matches(pattern: str, key: str) -> bool:
    """Return whether a topic pattern matches a routing key, as AMQP 0-9-1 defines it: `*` one word, `#` any number."""
    return _matches(tuple(pattern.split(".")), tuple(key.split(".")))


def _matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    if not pattern:
        return not words
    head, rest = pattern[0], pattern[1:]
    if head == "#":
        return any(_matches(rest, words[start:]) for start in range(len(words) + 1))
    return bool(words) and head in {"*", words[0]} and _matches(rest, words[1:])


class Outgoing(NamedTuple):
    """One message on its way: an encoded envelope with what the broker and its operators need to see.

    A tuple, since one is made for every message, and a frozen dataclass takes two and a half times as long to make.
    """

    body: bytes
    message_id: str
    """The envelope's id: the same for every attempt. On AMQP each attempt has a `message_id` of its own."""
    sender: str
    receiver: str
    type: str
    conversation_id: str
    sent_at: datetime
    causation_id: str | None = None
    reply_to: str | None = None
    """Where an answer goes when the sender waits for it itself: an address from `Transport.replies`."""
    traceparent: str | None = None

    @classmethod
    def of(cls, envelope: Envelope[Any], *, reply_to: str | None = None) -> Outgoing:
        """Return an envelope as it travels. Raises InvalidMessageError when it is too large."""
        return cls(
            body=encode(envelope),
            message_id=envelope.id,
            sender=envelope.sender,
            receiver=envelope.receiver,
            type=envelope.type,
            conversation_id=envelope.conversation_id,
            sent_at=envelope.sent_at,
            causation_id=envelope.causation_id,
            reply_to=reply_to,
            traceparent=envelope.traceparent,
        )

    @property
    def routing_key(self) -> str:
        """Where it is routed."""
        return routing_key(self.receiver, self.type)

    @property
    def mandatory(self) -> bool:
        """Whether having no receiver is an error; announcements may have none."""
        return self.receiver != ALL


class Arrival(Protocol):
    """What has arrived, as the broker vouches for it: enough to judge whether it is a message."""

    @property
    def body(self) -> bytes:
        """The encoded envelope."""
        ...

    @property
    def routing_key(self) -> str:
        """The key that it was routed by."""
        ...

    @property
    def sender(self) -> str | None:
        """The agent that the broker authenticated; None when the publisher did not say who it is."""
        ...

    @property
    def content_type(self) -> str | None:
        """As the publisher declared it."""
        ...

    @property
    def reply_to(self) -> str | None:
        """Where the sender waits for the answer; None: at its own address."""
        ...


class Delivery(Arrival, Protocol):
    """One attempt at delivering a message. It ends with exactly one of `ack`, `reject` and `requeue`."""

    @property
    def attempt(self) -> int:
        """1 for the first delivery; counts returns to the queue, also those of consumers that died."""
        ...

    async def ack(self) -> None:
        """Take responsibility: the broker forgets the message."""
        ...

    async def reject(self) -> None:
        """Refuse for good: the broker moves the message, properties intact, to the agent's parking queue."""
        ...

    async def requeue(self) -> None:
        """Give back for another attempt; past the delivery limit the broker parks it."""
        ...


@dataclass(frozen=True, slots=True)
class Parked:
    """A message in a parking queue; an `Arrival` with its properties as they were when it was published."""

    body: bytes
    routing_key: str
    sender: str | None
    reason: str
    """`rejected`, or `delivery_limit`."""
    content_type: str | None = None
    reply_to: str | None = None
    parked_at: datetime | None = None
    """To the second; None where the transport does not know."""


class ParkedDelivery(Protocol):
    """A parked message while somebody looks at it. Unless it is removed, it stays where it is."""

    @property
    def message(self) -> Parked:
        """What is parked."""
        ...

    async def remove(self) -> None:
        """Take it out of the parking queue for good.

        Raises BrokerUnavailableError when the connection was lost: then it may still be there.
        """
        ...


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """The journal's copy of a message that was published."""

    body: bytes
    routing_key: str
    sender: str | None


@dataclass(frozen=True, slots=True)
class AgentQueue:
    """What is declared for one agent: its queue, its bindings and its parking queue."""

    agent: str
    announcements: frozenset[str] = frozenset()
    """Types sent to `all` that it wants."""
    delivery_limit: int = 5
    """How often a message may return to the queue before it is parked: it is attempted once more than that."""
    max_length: int = 1_000_000
    """Messages; past it publishes are refused, never dropped. Those in flight at that moment may still pass."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that the broker must hold before agents start; applying it again changes nothing."""

    agents: tuple[AgentQueue, ...]
    journal_max_age: float = 7 * 86400.0
    """Seconds for which the journal keeps messages."""
    journal_max_bytes: int = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Features:
    """What differs between transports, and nothing else does."""

    name: str
    durable: bool
    """Messages survive the broker's restart."""
    authenticates: bool
    """`Delivery.sender` is proven by credentials, rather than taken from the publisher in the same process."""


@dataclass(frozen=True, slots=True)
class TransportStatus:
    """How a transport stands, as far as it knows by itself."""

    connected: bool
    consuming: bool
    """Whether the broker has a consumer of ours, active or standing by."""
    reconnects: int
    """Connections made anew since the start."""


class Transport(Protocol):
    """A connection to a broker under one agent's identity."""

    @property
    def features(self) -> Features:
        """What this transport can do."""
        ...

    @property
    def identity(self) -> str:
        """The agent whose credentials are used."""
        ...

    @property
    def status(self) -> TransportStatus:
        """How it stands at this moment; asks nobody."""
        ...

    async def broker_version(self) -> str:
        """Return the product and version of what is at the other end, e.g. `RabbitMQ 3.10.8`."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Declare what is missing. Idempotent; needs an identity with configure rights."""
        ...

    async def publish(self, message: Outgoing, *, timeout: float = 10.0) -> None:
        """Return once the broker safely has the message, and its journal the copy.

        Any number of publishes may be in flight; order is kept between publishes of one task. Durable on durable
        transports. Cancelling leaves the outcome unknown.

        `timeout` is how many seconds the confirm may take. Among thousands of publishes one waits for its turn first:
        as long as others are confirmed, and no longer than `timeout` when none is.

        Raises UnroutableError, UnconfirmedError (may have arrived), BrokerUnavailableError, NotPermittedError.
        """
        ...

    def consume(self, *, prefetch: int = 100) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Deliver this agent's queue in order, to one consumer at a time, across lost connections.

        At least once: what is not settled when the context ends, or the connection breaks, is delivered again.
        """
        ...

    def observe(self, *patterns: str) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Deliver one copy of each message whose routing key matches any of these, from now on.

        At most once, in order, nothing to settle.
        """
        ...

    def replies(self) -> AbstractAsyncContextManager[tuple[str, AsyncIterator[Delivery]]]:
        """Open an exclusive, expiring queue: its address for `Outgoing.reply_to`, and what arrives there."""
        ...

    async def parked(self, *, limit: int = 100) -> tuple[Parked, ...]:
        """Return what lies in this agent's parking queue, oldest first, and leave it there."""
        ...

    def parking(self) -> AbstractAsyncContextManager[AsyncIterator[ParkedDelivery]]:
        """Look through this agent's parking queue, oldest first, to its end.

        What was not removed lies there when the context ends, however that comes about: in its old order after a look
        to the end, else what was looked at may come last. Until then others may not see what has been looked at.
        Looking never brings a message closer to a delivery limit.

        Raises BrokerUnavailableError, also while iterating.
        """
        ...

    def history(self, *, since: datetime | None = None) -> AbstractAsyncContextManager[AsyncIterator[JournalEntry]]:
        """Read what the journal holds, oldest first, from a moment to its end as it is now.

        Without `since` (aware) from the beginning; with it, a few earlier entries may come as well. A message may
        stand there twice: where a publish was tried again, it is the same body.

        Raises BrokerUnavailableError, NotPermittedError unless this identity may observe; both also while iterating.
        """
        ...

    async def aclose(self) -> None:
        """Stop consuming, settle what is in flight within a bound, and disconnect. Idempotent."""
        ...
