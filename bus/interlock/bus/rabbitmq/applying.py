"""Carries out the harmless part of a drift, what is missing, and deletes what is too much; it decides nothing.

Quorum queues know no conditional deletion (rabbitmq-server issue 10543), so a queue is cut off from every exchange and
looked at once more before it goes.
"""

from __future__ import annotations

__all__ = ["Left", "add", "prune"]

from collections.abc import Iterable
from dataclasses import dataclass

import aiormq

from interlock.bus.clock import Clock
from interlock.bus.rabbitmq.asking import asking
from interlock.bus.rabbitmq.connection import Connection
from interlock.bus.rabbitmq.drift import Drift, Orphan
from interlock.bus.rabbitmq.topology import Binding, Exchange, Queue

_SETTLE = 1.0
"""Seconds for publishes that were routed before a queue was cut off to arrive in it."""


@dataclass(frozen=True, slots=True)
class Left:
    """An orphan that was not deleted, and why."""

    orphan: Orphan
    reason: str


async def add(connection: Connection, drift: Drift) -> None:
    """Declare what is missing. Idempotent; what exists with other arguments is left as it is.

    Where bindings could not be seen, all are made again, which changes nothing. Raises NotPermittedError without
    configure rights, BrokerUnavailableError.
    """
    changed = {change.name for change in drift.changes}
    kept_out = {*changed, *drift.interrupted}
    bindings = [item for item in drift.missing if isinstance(item, Binding)]
    if drift.unseen:
        bindings = [binding for binding in drift.plan.bindings if binding.queue not in drift.interrupted]
    async with asking(connection, what="declaring the topology") as channel:
        for item in drift.missing:
            if isinstance(item, Exchange):
                await channel.exchange_declare(item.name, exchange_type="topic", durable=True)
            elif isinstance(item, Queue) and item.name not in kept_out:
                await channel.queue_declare(item.name, durable=True, arguments=dict(item.arguments))
        for binding in bindings:
            if binding.exchange not in changed:
                await channel.queue_bind(binding.queue, binding.exchange, binding.pattern)


async def prune(
    connection: Connection, orphans: Iterable[Orphan], bindings: Iterable[Binding], *, clock: Clock
) -> tuple[Left, ...]:
    """Delete orphans that nobody misses: empty queues without consumers, and bindings; return what was left.

    `bindings` are all that exist. An exchange is deleted only while nothing is bound to it, and a stream never.
    Raises NotPermittedError, BrokerUnavailableError; what was deleted before that stays deleted.
    """
    known = tuple(bindings)
    left: list[Left] = []
    for orphan in orphans:
        reason = await _prune(connection, orphan, known, clock)
        if reason:
            left.append(Left(orphan, reason))
    return tuple(left)


async def _prune(connection: Connection, orphan: Orphan, bindings: tuple[Binding, ...], clock: Clock) -> str | None:
    item = orphan.item
    async with asking(connection, what=f"deleting {item}") as channel:
        if isinstance(item, Binding):
            await channel.queue_unbind(item.queue, item.exchange, item.pattern)
            return None
        if isinstance(item, Exchange):
            if any(binding.exchange == item.name for binding in bindings):
                return "something is bound to it; remove that first"
            await channel.exchange_delete(item.name, if_unused=True)
            return None
        if item.arguments.get("x-queue-type") == "stream":
            return "a stream's messages stay when they were read; delete it by hand"
        return await _prune_queue(channel, item, tuple(b for b in bindings if b.queue == item.name), clock)


async def _prune_queue(
    channel: aiormq.Channel, queue: Queue, bindings: tuple[Binding, ...], clock: Clock
) -> str | None:
    if reason := await _in_use(channel, queue.name):
        return reason
    for binding in bindings:
        await channel.queue_unbind(queue.name, binding.exchange, binding.pattern)
    await clock.sleep(_SETTLE)
    if reason := await _in_use(channel, queue.name):
        for binding in bindings:
            await channel.queue_bind(queue.name, binding.exchange, binding.pattern)
        return f"{reason}, which came in meanwhile"
    await channel.queue_delete(queue.name)
    return None


async def _in_use(channel: aiormq.Channel, name: str) -> str | None:
    found = await channel.queue_declare(name, passive=True)
    if found.consumer_count:
        return f"it has {found.consumer_count} consumers; stop them first"
    if found.message_count:
        return f"it holds {found.message_count} messages; have them handled, or purge it"
    return None
