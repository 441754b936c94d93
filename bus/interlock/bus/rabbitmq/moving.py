"""Replaces a queue whose arguments have changed, without losing or reordering a message; it knows queues, not meanings.

Every message is published again, confirmed, by a user with the tag `impersonator`, who may leave the sender's user id
as it is (rabbitmq.com/docs/validated-user-id), and only then acknowledged. Whatever interrupts it, the broker holds
everything that is needed to go on; what was moved twice is recognised by its receiver's inbox.

Publishers are answered all the while, but for the two moments in which the queue changes hands: then nothing is bound,
mandatory publishes are returned to their senders, who try again, and announcements to `all` go nowhere.
"""

from __future__ import annotations

__all__ = ["Move"]

from collections.abc import Callable, Iterable

import aiormq
from aiormq import spec
from pamqp.common import FieldValue

from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.rabbitmq.asking import asking
from interlock.bus.rabbitmq.connection import Connection, underlay
from interlock.bus.rabbitmq.drift import moving_queue
from interlock.bus.rabbitmq.inequivalence import inequivalence
from interlock.bus.rabbitmq.pump import Pump
from interlock.bus.rabbitmq.topology import Binding, Queue
from interlock.protocol.errors import UsageError

_TIMEOUT = 30.0
_PREFIX = "interlock.moving."
_PROBE = f"{_PREFIX}probe"
_NOBODY = "interlock-moves-messages"
"""A user id that is nobody's: only an impersonator may publish under it."""


class Move:
    """One replacement: the messages go to `<queue>.moving`, the queue is declared anew, and they come back.

    Run it again after an interruption: it goes on where it was. While it runs, no consumer may be at the old queue.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        wanted: Queue,
        bindings: Iterable[Binding],
        kept: Iterable[Binding] = (),
        version: tuple[int, ...] = (3, 10),
        settle: float = 1.0,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`bindings` are the planned ones of this queue; `kept` all that the broker has of it and of `<queue>.moving`.

        `settle` is for how long, in seconds, a queue that is cut off must stay empty: messages that were routed
        before may still arrive.
        """
        self._connection = connection
        self._wanted = wanted
        self._name = wanted.name
        self._moving = moving_queue(wanted.name)
        self._out = f"{_PREFIX}{wanted.name}"
        self._back = f"{_PREFIX}{wanted.name}.back"
        own, known = {self._name, self._moving}, tuple(kept)
        self._bindings = sorted(
            {
                (binding.exchange, binding.pattern)
                for binding in (*bindings, *known)
                if binding.queue in own and not binding.exchange.startswith(_PREFIX)
            }
            | set(_recorded(known, self._out))
        )
        self._is_bound = any(b.queue == self._name and not b.exchange.startswith(_PREFIX) for b in known)
        self._version = version
        self._settle = settle
        self._tell = tell

    def __repr__(self) -> str:
        return f"Move({self._name!r})"

    async def run(self) -> int:
        """Return how many messages came back.

        Raises UsageError when the old queue has consumers, the user is no impersonator, or the new queue refuses
        messages because it is full; BrokerUnavailableError. In every case nothing is lost, and it can be run again.
        """
        await self._refuse_without_impersonation()
        state = await self._state()
        if state == "old":
            await self._empty_the_old_queue()
        if state != "new":
            async with asking(self._connection, what=f"declaring {self._name}") as channel:
                await channel.queue_declare(self._name, durable=True, arguments=dict(self._wanted.arguments))
            self._tell(f"{self._name} is declared anew; new messages still go to {self._moving}")
        return await self._bring_back(bind=state != "new" or not self._is_bound)

    async def _state(self) -> str:
        """Return `old` while the queue is as it was, `gone` when it was deleted, `new` once it is as wanted."""
        channel = await self._connection.channel(timeout=_TIMEOUT)
        try:
            found = await channel.declare_queue(self._name, passive=True)
            consumers = found.declaration_result.consumer_count
        except aiormq.exceptions.ChannelNotFoundEntity:
            return "gone"
        finally:
            await channel.close()
        channel = await self._connection.channel(timeout=_TIMEOUT)
        try:
            await channel.declare_queue(self._name, durable=True, arguments=dict(self._wanted.arguments))
        except aiormq.exceptions.ChannelPreconditionFailed as error:
            if inequivalence(str(error)) is None:
                raise UsageError(f"the broker's refusal was not understood: {error}") from error
            if consumers:
                raise UsageError(
                    f"{self._name} has {consumers} consumers: stop its agent, then run this again; nothing was changed"
                ) from error
            return "old"
        else:
            return "new"
        finally:
            await channel.close()

    async def _empty_the_old_queue(self) -> None:
        arguments: dict[str, FieldValue] = {"x-queue-type": "quorum", "x-single-active-consumer": True}
        if self._version >= (4,):
            arguments["x-delivery-limit"] = -1
        async with asking(self._connection, what=f"preparing {self._moving}") as channel:
            await channel.queue_declare(self._moving, durable=True, arguments=arguments)
            await channel.exchange_declare(self._out, exchange_type="fanout", durable=True)
            await channel.queue_bind(self._moving, self._out, "")
            for exchange, pattern in self._bindings:  # a fanout ignores keys: they record what has to be bound again
                await channel.queue_bind(self._moving, self._out, f"{exchange} {pattern}")
        async with asking(self._connection, what=f"emptying {self._name}", confirms=True) as channel:
            pump = await Pump.start(channel, self._name, self._out)
            moved = await pump.until_nearly_empty()
            self._tell(f"{moved} messages went from {self._name} to {self._moving}")
            # From here to the next binding nothing is bound: what was routed before arrives within `settle`, and the
            # pump's place as the single active consumer keeps everybody else from it.
            for exchange, pattern in self._bindings:
                await channel.queue_unbind(self._name, exchange, pattern)
            await pump.until_quiet(self._settle)
            await self._bind(channel, self._moving)
            await pump.until_quiet(self._settle)
            await channel.queue_delete(self._name)

    async def _bring_back(self, *, bind: bool) -> int:
        """Fill the new queue; with `bind`, new messages queue up behind those that wait to come back."""
        async with asking(self._connection, what=f"filling {self._name}", confirms=True) as channel:
            await channel.exchange_declare(self._back, exchange_type="fanout", durable=True)
            await channel.queue_bind(self._name, self._back, "")
            if bind:
                await self._bind(channel, self._moving)
            pump = await Pump.start(channel, self._moving, self._back)
            moved = await pump.until_nearly_empty()
            for exchange, pattern in self._bindings:
                await channel.queue_unbind(self._moving, exchange, pattern)
            moved += await pump.until_quiet(self._settle)
            await self._bind(channel, self._name)
            await channel.queue_delete(self._moving)
            for exchange in (self._out, self._back):
                await channel.exchange_delete(exchange)
        self._tell(f"{moved} messages came back to {self._name}, which is bound again")
        return moved

    async def _bind(self, channel: aiormq.Channel, queue: str) -> None:
        for exchange, pattern in self._bindings:
            await channel.queue_bind(queue, exchange, pattern)

    async def _refuse_without_impersonation(self) -> None:
        """Publish to nobody under another's name: a refusal later would cost waiting messages an attempt each."""
        channel = await self._connection.channel(timeout=_TIMEOUT, confirms=True)
        try:
            raw = await underlay(channel)
            await raw.exchange_declare(_PROBE, exchange_type="fanout", auto_delete=False)
            await raw.basic_publish(b"", exchange=_PROBE, properties=spec.Basic.Properties(user_id=_NOBODY))
            await raw.exchange_delete(_PROBE)
        except aiormq.exceptions.ChannelPreconditionFailed as error:
            raise UsageError(
                "this user may not pass on messages under their senders' names, nothing was changed: give it the tag "
                "impersonator, e.g. `rabbitmqctl set_user_tags interlock-admin administrator impersonator`"
            ) from error
        except (aiormq.exceptions.AMQPError, OSError) as error:
            raise BrokerUnavailableError(f"the connection was lost before moving ({type(error).__name__})") from error
        finally:
            await channel.close()


def _recorded(bindings: Iterable[Binding], recorder: str) -> Iterable[tuple[str, str]]:
    """Return what an earlier run wrote down: the old queue may have lost its bindings since."""
    for binding in bindings:
        exchange, separator, pattern = binding.pattern.partition(" ")
        if binding.exchange == recorder and separator:
            yield exchange, pattern
