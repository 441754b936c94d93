"""Opens sockets with the fast path under them, through the seam that aiormq offers; it knows no AMQP."""

from __future__ import annotations

__all__ = ["TapFactory"]

import asyncio
from typing import Any

from aiormq.abc import AbstractConnection
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from interlock.bus.rabbitmq.tap.stream import Stream, TapWriter

_READER_LIMIT = 64 * 1024


class TapFactory(TransportFactory):
    """One connection's; aiormq calls it once (aiormq 6.9 to 7.2: `Connection.__init__(transport_factory=…)`)."""

    def __init__(self) -> None:
        self.stream: Stream | None = None
        """The protocol under the connection, once there is one."""
        self.under: AbstractConnection | None = None
        """The connection that it is under, once that is open."""

    async def create(self, url: URL, **kwargs: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """See `TransportFactory.create`."""
        contexts = kwargs.pop("ssl_context_provider", None)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READER_LIMIT, loop=loop)
        ssl = await contexts.get_context() if url.scheme == "amqps" and contexts is not None else None
        try:
            transport, stream = await loop.create_connection(
                lambda: Stream(reader, loop), url.host or "", url.port or 0, ssl=ssl, **kwargs
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.stream = stream
        return reader, TapWriter(transport, stream, reader, loop)
