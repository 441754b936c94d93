"""How a broker differs from a plan, as data: what is missing, different or too much; it knows no connection.

Arguments of a queue cannot be changed on RabbitMQ, so that a difference always means another queue of the same name.
"""

from __future__ import annotations

__all__ = ["Change", "Drift", "Orphan", "compare", "moving_queue"]

from collections.abc import Collection
from dataclasses import dataclass

from interlock.bus.rabbitmq.inequivalence import Difference
from interlock.bus.rabbitmq.observation import Observation, SeenExchange, SeenQueue
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES, PARKED, Binding, Exchange, Plan, Queue
from interlock.bus.transport import routing_key
from interlock.protocol.message import ALL

_OURS = frozenset({MESSAGES, JOURNAL, PARKED})
_MOVING = ".moving"
_TRANSIENT = ("reply.", "observe.")
"""Queues that processes make for themselves; they expire."""


def moving_queue(queue: str) -> str:
    """Return where a queue's messages are while it is replaced."""
    return f"{queue}{_MOVING}"


@dataclass(frozen=True, slots=True)
class Change:
    """A queue or exchange that has to be replaced."""

    wanted: Queue | Exchange
    differences: tuple[Difference, ...]
    messages: int | None = None
    consumers: int | None = None

    @property
    def name(self) -> str:
        """Of the queue or exchange."""
        return self.wanted.name

    @property
    def is_movable(self) -> bool:
        """Whether its messages can be moved: a stream's and an exchange's cannot."""
        return (
            isinstance(self.wanted, Queue)
            and self.wanted.arguments.get("x-queue-type") == "quorum"
            and Difference("x-queue-type", "stream", "quorum") not in self.differences
        )


@dataclass(frozen=True, slots=True)
class Orphan:
    """Something of ours that nothing declares any more."""

    item: Queue | Exchange | Binding
    messages: int | None = None
    consumers: int | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """What would have to happen for a broker to be as planned."""

    plan: Plan
    missing: tuple[Exchange | Queue | Binding, ...] = ()
    """In the order of declaration."""
    changes: tuple[Change, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    interrupted: tuple[str, ...] = ()
    """Queues whose replacement was begun and not ended."""
    unseen: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing that was seen differs."""
        return not (self.missing or self.changes or self.orphans or self.interrupted)


def compare(planned: Plan, seen: Observation, *, announcements: Collection[str] = ()) -> Drift:
    """Compare what should be with what is.

    `announcements` are the types that any agent may ask for: agents bind them to their queues themselves, and such
    a binding is no orphan.
    """
    interrupted = tuple(queue.name for queue in planned.queues if moving_queue(queue.name) in seen.queues)
    changes = [
        *(
            change
            for wanted in planned.exchanges
            if (change := _exchange_change(wanted, seen.exchanges.get(wanted.name)))
        ),
        *(change for wanted in planned.queues if (change := _queue_change(wanted, seen.queues.get(wanted.name)))),
    ]
    return Drift(
        plan=planned,
        missing=_missing(planned, seen, interrupted),
        changes=tuple(changes),
        orphans=tuple(_orphans(planned, seen, announcements)),
        interrupted=interrupted,
        unseen=seen.unseen,
    )


def _missing(planned: Plan, seen: Observation, interrupted: Collection[str]) -> tuple[Exchange | Queue | Binding, ...]:
    exchanges = [exchange for exchange in planned.exchanges if exchange.name not in seen.exchanges]
    # While a queue is being replaced, only the replacement may declare and bind it: the order depends on when.
    queues = [q for q in planned.queues if q.name not in seen.queues and q.name not in interrupted]
    absent = {queue.name for queue in queues}
    bindings = [
        binding
        for binding in planned.bindings
        if binding.queue not in interrupted
        and (binding.queue in absent if seen.bindings is None else binding not in seen.bindings)
    ]
    return (*exchanges, *queues, *bindings)


def _exchange_change(wanted: Exchange, seen: SeenExchange | None) -> Change | None:
    if seen is None:
        return None
    differences = []
    if seen.kind != "topic":
        differences.append(Difference("type", seen.kind, "topic"))
    if not seen.durable:
        differences.append(Difference("durable", False, True))
    return Change(wanted, tuple(differences)) if differences else None


def _queue_change(wanted: Queue, seen: SeenQueue | None) -> Change | None:
    if seen is None:
        return None
    names = sorted({*wanted.arguments, *seen.arguments})
    differences = [
        Difference(name, seen.arguments.get(name), wanted.arguments.get(name))
        for name in names
        if seen.arguments.get(name) != wanted.arguments.get(name)
    ]
    if not seen.durable:
        differences.append(Difference("durable", False, True))
    return Change(wanted, tuple(differences), seen.messages, seen.consumers) if differences else None


def _orphans(planned: Plan, seen: Observation, announcements: Collection[str]) -> list[Orphan]:
    if seen.bindings is None:
        return []
    queues = {queue.name for queue in planned.queues}
    moving = {moving_queue(name) for name in queues}
    exchanges = {exchange.name for exchange in planned.exchanges}
    ours = {binding.queue for binding in seen.bindings if binding.exchange in _OURS}
    found = [
        Orphan(Queue(queue.name, queue.arguments), queue.messages, queue.consumers)
        for queue in seen.queues.values()
        if queue.name not in queues | moving
        and (queue.name in ours or queue.arguments.get("x-dead-letter-exchange") == PARKED)
        and not queue.transient
        and not queue.name.startswith(_TRANSIENT)
    ]
    found += [
        Orphan(Exchange(exchange.name))
        for exchange in seen.exchanges.values()
        if exchange.name.startswith("interlock.")
        and exchange.name not in exchanges
        and not exchange.name.startswith("interlock.moving.")
    ]
    asked_for = {routing_key(ALL, type_) for type_ in announcements}
    found += [
        Orphan(binding)
        for binding in sorted(seen.bindings - set(planned.bindings), key=str)
        if binding.queue in queues
        and binding.exchange in _OURS
        and not (binding.exchange == MESSAGES and binding.pattern in asked_for)
    ]
    return found
