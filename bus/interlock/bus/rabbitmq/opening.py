"""Channels on their way to being open; it knows one client library's calls, and not what channels are for.

A call of aiormq's that is cancelled in midair closes its channel by itself, and a close that is cancelled is written
twice: the broker answers that with an error for the whole connection, whose other channels are lost with it. So an
opening that nobody waits for any more goes on, and what it has opened is closed.
"""

from __future__ import annotations

__all__ = ["Openings"]

import asyncio

from aio_pika.abc import AbstractChannel, AbstractConnection

from interlock.bus.rabbitmq.channel import close_channel
from interlock.bus.rabbitmq.loss import told_of_losses


class Openings:
    """Opens channels, and looks after those that were given up."""

    def __init__(self) -> None:
        self._given_up: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"Openings(given_up={len(self._given_up)})"

    async def open(self, connection: AbstractConnection, *, confirms: bool) -> AbstractChannel:
        """Return a new channel. Raises what the client library raises, AMQPConnectionError for a loss.

        Ends with the connection: aiormq waits for the end of an alarm even where the connection is gone.
        """
        channel = connection.channel(publisher_confirms=confirms, on_return_raises=confirms)
        opening = asyncio.create_task(channel.initialize())

        def end(*_: object) -> None:
            opening.cancel()

        connection.close_callbacks.add(end)
        opening.add_done_callback(lambda _: connection.close_callbacks.discard(end))
        try:
            with told_of_losses():
                await asyncio.shield(opening)
        except asyncio.CancelledError:
            closing = asyncio.create_task(_close_when_open(channel, opening))
            self._given_up.add(closing)
            closing.add_done_callback(self._given_up.discard)
            raise
        return channel

    async def ended(self) -> None:
        """Return when all that were given up are closed; soon after their connection is."""
        if self._given_up:
            await asyncio.wait(self._given_up)


async def _close_when_open(channel: AbstractChannel, opening: asyncio.Task[None]) -> None:
    await asyncio.wait((opening,))
    if not opening.cancelled() and opening.exception() is None:
        await close_channel(channel)
