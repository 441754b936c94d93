"""Reads the journal's stream from a moment to its end as it is now; it knows one stream, and no message.

A stream tells nobody where it ends: what it holds is counted only every few seconds, so the count cannot be asked. Its
last chunk can be: `x-stream-offset: last` begins there (rabbitmq.com/docs/streams, "Consuming"). Whoever has read that
far and then gets nothing more has read to the end, and so has who meets what came after the reading began: a
subscription to what is `next` tells where that is.
"""

from __future__ import annotations

__all__ = ["read_journal"]

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

import aiormq
import anyio
from aiormq.abc import DeliveredMessage

from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.connection import Connection, underlay
from interlock.bus.rabbitmq.loss import told_of_losses
from interlock.bus.rabbitmq.topology import JOURNAL
from interlock.bus.transport import JournalEntry

_TIMEOUT = 30.0
_BEGINNING = 3.0
"""Seconds without a delivery after which nothing is taken to be there."""
_END = 0.5
"""Seconds without a delivery, once the last chunk has begun, after which its end is reached."""
_STALLED = 30.0
_PREFETCH = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Before it AMQP has no timestamps."""
_LOST = (aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, OSError)


@asynccontextmanager
async def read_journal(
    connection: Connection, *, since: datetime | None
) -> AsyncGenerator[AsyncIterator[JournalEntry]]:
    """See `Transport.history`."""
    async with aclosing(_entries(connection, since)) as entries:
        yield entries


async def _entries(connection: Connection, since: datetime | None) -> AsyncGenerator[JournalEntry]:
    async with _reading(connection, "last") as last:
        message = await last.next(within=_BEGINNING)
        if message is None:
            return
        last_chunk = _offset(message)
    if since is not None:
        since = max(since, _EPOCH)
    async with _reading(connection, "next") as later, _reading(connection, since or "first") as reader:
        patience = _BEGINNING
        while (message := await reader.next(within=patience)) is not None:
            if later.first is not None and _offset(message) >= later.first:
                return
            patience = _END if _offset(message) >= last_chunk else _STALLED
            yield JournalEntry(message.body, message.routing_key or "", message.header.properties.user_id)
        if patience == _STALLED:
            raise BrokerUnavailableError(f"the journal stopped in the middle for {_STALLED:.0f} s; try again")


class _Reader:
    """The deliveries of one subscription to the stream."""

    def __init__(self, raw: aiormq.Channel) -> None:
        self._raw = raw
        self.first: int | None = None
        """The offset of the first delivery, as soon as there is one."""
        self._arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()

    async def receive(self, message: DeliveredMessage) -> None:
        """Take a delivery from the client library."""
        if self.first is None:
            self.first = _offset(message)
        self._arrived.put_nowait(message)

    async def next(self, *, within: float) -> DeliveredMessage | None:
        """Return the next delivery, None when there is none within this many seconds.

        Raises BrokerUnavailableError when the connection was lost.
        """
        with anyio.move_on_after(within):
            message = await self._arrived.get()
            try:
                await self._raw.basic_ack(message.delivery_tag or 0, wait=False)
            except _LOST as error:
                raise _lost(error) from error
            return message
        if self._raw.is_closed:
            raise _lost(self._raw.closing.exception() if self._raw.closing.done() else None)
        return None


@asynccontextmanager
async def _reading(connection: Connection, offset: str | datetime) -> AsyncGenerator[_Reader]:
    channel = await connection.channel(timeout=_TIMEOUT)
    try:
        raw = await underlay(channel)
        reader = _Reader(raw)
        try:
            with told_of_losses():
                # A stream refuses consumers without a prefetch, and basic.get closes the connection.
                await raw.basic_qos(prefetch_count=_PREFETCH)
                await raw.basic_consume(JOURNAL, reader.receive, arguments={"x-stream-offset": offset})
        except aiormq.exceptions.ChannelAccessRefused as error:
            raise NotPermittedError(f"this user may not read the journal: {error}; an observer may") from error
        except aiormq.exceptions.ChannelNotFoundEntity as error:
            raise BrokerUnavailableError(f"there is no journal: {error}; declare the topology first") from error
        except _LOST as error:
            raise _lost(error) from error
        yield reader
    finally:
        await channel.close()


def _offset(message: DeliveredMessage) -> int:
    offset = (message.header.properties.headers or {}).get("x-stream-offset")
    assert isinstance(offset, int), "every delivery of a stream has its offset"
    return offset


def _lost(error: BaseException | None) -> BrokerUnavailableError:
    kind = f" ({type(error).__name__})" if error else ""
    return BrokerUnavailableError(f"the connection was lost while reading the journal{kind}; read it again")
