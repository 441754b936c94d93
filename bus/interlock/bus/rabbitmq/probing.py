"""Looks at a broker over AMQP alone, one name at a time; it changes nothing.

A passive declaration tells whether a name exists, and an active one of an existing name whether its arguments are
equal: the refusal names one argument that differs, which is corrected before asking again, until the broker agrees.
"""

from __future__ import annotations

__all__ = ["probe"]

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import aiormq
from pamqp.common import FieldValue

from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.connection import Connection, underlay
from interlock.bus.rabbitmq.inequivalence import Inequivalence, inequivalence
from interlock.bus.rabbitmq.observation import Observation, SeenExchange, SeenQueue
from interlock.bus.rabbitmq.topology import Plan, Queue
from interlock.protocol.errors import UsageError

_TIMEOUT = 10.0
_MOST_ARGUMENTS = 20
_ORPHANS = "orphans and bindings were not looked for: AMQP cannot list them; set broker.management_url"
_ARGUMENTS = "arguments were not compared: this user may not declare; log in as one that may, or use the management API"

T = TypeVar("T")


async def probe(connection: Connection, planned: Plan) -> Observation:
    """Look at what the plan names; a user without configure rights sees only what exists.

    Raises BrokerUnavailableError, LoginRefusedError.
    """
    prober = _Prober(connection)
    exchanges = [seen for exchange in planned.exchanges if (seen := await prober.exchange(exchange.name))]
    queues = [found for queue in planned.queues if (found := await prober.queue(queue))]
    unseen = (_ORPHANS,) if prober.may_declare else (_ORPHANS, _ARGUMENTS)
    return Observation(
        queues={queue.name: queue for queue in queues},
        exchanges={exchange.name: exchange for exchange in exchanges},
        unseen=unseen,
    )


class _Prober:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.may_declare = True

    async def exchange(self, name: str) -> SeenExchange | None:
        try:
            await self._on_a_channel(lambda channel: channel.exchange_declare(name, passive=True))
        except aiormq.exceptions.ChannelNotFoundEntity:
            return None
        seen = SeenExchange(name, "topic")
        refusal = await self._refusal(
            lambda channel: channel.exchange_declare(name, exchange_type="topic", durable=True)
        )
        if refusal is None:
            return seen
        if refusal.difference.argument == "type":
            return SeenExchange(name, str(refusal.difference.has))
        return SeenExchange(name, "topic", durable=refusal.difference.argument != "durable")

    async def queue(self, wanted: Queue) -> SeenQueue | None:
        try:
            found = await self._on_a_channel(lambda channel: channel.queue_declare(wanted.name, passive=True))
        except aiormq.exceptions.ChannelNotFoundEntity:
            return None
        arguments, durable = dict(wanted.arguments), True
        for _ in range(_MOST_ARGUMENTS):
            refusal = await self._refusal(partial(_declare, wanted.name, durable, dict(arguments)))
            if refusal is None:
                break
            name, has = refusal.difference.argument, refusal.difference.has
            if name == "durable":
                durable = False
            elif not name.startswith("x-"):
                raise UsageError(f"{refusal}; it was not made by Interlock")
            elif has is None:
                arguments.pop(name, None)
            else:
                arguments[name] = has
        return SeenQueue(
            wanted.name,
            arguments,
            durable=durable,
            messages=found.message_count,
            consumers=found.consumer_count,
        )

    async def _refusal(self, declare: Callable[[aiormq.Channel], Awaitable[object]]) -> Inequivalence | None:
        """Return what differs; None when all is equal, or cannot be known."""
        if not self.may_declare:
            return None
        try:
            await self._on_a_channel(declare)
        except NotPermittedError:
            self.may_declare = False
        except aiormq.exceptions.ChannelPreconditionFailed as error:
            found = inequivalence(str(error))
            if found is None:
                raise UsageError(f"the broker's refusal was not understood: {error}; use the management API") from error
            return found
        return None

    async def _on_a_channel(self, ask: Callable[[aiormq.Channel], Awaitable[T]]) -> T:
        """Ask on a channel of its own, since every refusal closes the channel."""
        channel = await self._connection.channel(timeout=_TIMEOUT)
        try:
            return await ask(await underlay(channel))
        except aiormq.exceptions.ChannelAccessRefused as error:
            raise NotPermittedError(f"the broker refuses: {error}") from error
        except (aiormq.exceptions.ChannelNotFoundEntity, aiormq.exceptions.ChannelPreconditionFailed):
            raise
        except (aiormq.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailableError(f"the connection was lost while looking ({type(error).__name__})") from error
        finally:
            await channel.close()


async def _declare(name: str, durable: bool, arguments: dict[str, FieldValue], channel: aiormq.Channel) -> object:
    return await channel.queue_declare(name, durable=durable, arguments=arguments)
