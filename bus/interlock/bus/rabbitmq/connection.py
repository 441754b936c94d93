"""A connection that is re-made when it is lost, over any of several brokers; it knows channels, not messages.

There is no background task: whoever needs a channel re-makes the connection, one at a time, and everybody else waits
for that, each with a deadline of its own. `aio_pika.connect_robust` is not used: it takes a single URL, keeps its
channels weakly and re-declares what was lost.
"""

from __future__ import annotations

__all__ = ["CHATTY", "Client", "Connection", "underlay"]

import asyncio
import random
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import aio_pika
import aiormq
import anyio
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.connection import make_url

from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError
from interlock.bus.rabbitmq.channel import Channel
from interlock.bus.rabbitmq.diagnosis import diagnosis
from interlock.bus.rabbitmq.loss import told_of_losses
from interlock.bus.rabbitmq.opening import Openings
from interlock.bus.rabbitmq.stock import StockChannel
from interlock.bus.rabbitmq.tap.channel import TapChannel
from interlock.bus.rabbitmq.tap.factory import TapFactory
from interlock.protocol.errors import UsageError

CHATTY = ("aio_pika", "aiormq")
"""Loggers that write a traceback for every lost connection: what matters of it is raised, or logged by this package."""

Client: TypeAlias = Literal["tap", "aiormq"]
"""Who moves the frames of publishing and consuming: the fast path under aio-pika, or aio-pika itself."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_ATTEMPT_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 5.0

_REFUSALS = (aiormq.exceptions.AuthenticationError, aiormq.exceptions.ProbableAuthenticationError)
_FAILURES = (OSError, TimeoutError, asyncio.IncompleteReadError, aiormq.exceptions.AMQPError)


class Connection:
    """Gives out channels of the one live connection, and waits for it where there is none.

    A broker that froze or was cut off is noticed after about 3 x (`heartbeat` + 1) seconds (aiormq's grace).
    """

    def __init__(
        self, urls: Sequence[str], *, identity: str, clock: Clock, heartbeat: int = 5, client: Client = "tap"
    ) -> None:
        if not urls:
            raise UsageError("no broker URL was given; give at least one, e.g. amqp://host:5672/interlock")
        self._urls = tuple(urls)
        self._addresses = tuple(_address(url) for url in urls)
        self._identity = identity
        self._clock = clock
        self._heartbeat = heartbeat
        self._client: Client = client
        # Agents begin at different nodes, each always at the same one.
        self._next = zlib.crc32(identity.encode()) % len(urls)
        self._live: AbstractConnection | None = None
        self._tap: TapFactory | None = None
        self._openings = Openings()
        self._lock = anyio.Lock()
        self._last_error: Exception | None = None
        self._closed = False
        self._connections = 0

    def __repr__(self) -> str:
        return (
            f"Connection(identity={self._identity!r}, addresses={list(self._addresses)}, connected={self.is_connected})"
        )

    @property
    def is_connected(self) -> bool:
        """Whether the connection is believed to be alive."""
        return self._live is not None and self._live.connected.is_set() and not self._live.is_closed

    @property
    def reconnects(self) -> int:
        """How often it was made anew after a loss."""
        return max(0, self._connections - 1)

    @property
    def is_closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    async def channel(self, *, timeout: float, confirms: bool = False) -> AbstractChannel:
        """Open a channel, connecting first where necessary; the caller keeps the reference and closes it.

        With `confirms`, publishes are confirmed and unroutable mandatory ones raise. `timeout` is in seconds.

        Raises BrokerUnavailableError with the last cause when no broker accepted us in time, LoginRefusedError when
        one refused our credentials, UsageError after `aclose`.
        """
        with anyio.move_on_after(timeout):
            while True:
                connection = await self._connected()
                try:
                    channel = await self._openings.open(connection, confirms=confirms)
                except (*_FAILURES, aiormq.exceptions.ChannelInvalidStateError, RuntimeError) as error:
                    if type(error) is RuntimeError and not str(error).endswith(" closed"):
                        raise  # else aiormq's word for a connection that has ended since we looked
                    self._last_error = error
                    if connection is self._live:  # else somebody has replaced it already
                        await self._discard()
                else:
                    return channel
        raise BrokerUnavailableError(
            f"{self._identity} reached none of {', '.join(self._addresses)} within {timeout:.3g} s "
            f"({diagnosis(self._last_error)}); is the broker running?"
        ) from self._last_error

    async def hot_channel(self, *, timeout: float, confirms: bool = False) -> Channel:
        """Open a channel for publishing or consuming, over the client that was chosen; raises as `channel` does."""
        channel = await self.channel(timeout=timeout, confirms=confirms)
        raw = await underlay(channel)
        tap = self._tap
        # A connection made anew meanwhile has another channel of this number.
        if tap is None or tap.stream is None or tap.stream.is_lost or tap.under is not raw.connection or raw.is_closed:
            return StockChannel(channel, raw)
        return TapChannel(tap.stream, channel, raw, frame_max=raw.connection.connection_tune.frame_max)

    async def server_properties(self, *, timeout: float) -> tuple[str, str]:
        """Return the product and the version that the broker states; raises as `channel` does."""
        channel = await self.channel(timeout=timeout)
        try:
            underlay = await channel.get_underlay_channel()
            properties = underlay.connection.server_properties
        finally:
            await channel.close()
        return _text(properties.get("product")), _text(properties.get("version"))

    async def aclose(self) -> None:
        """Disconnect. Idempotent."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            await self._discard()
            await self._openings.ended()

    async def _connected(self) -> AbstractConnection:
        async with self._lock:
            pause = _FIRST_PAUSE
            while True:
                if self._closed:
                    await self._discard()  # what was on its way when it was closed
                    raise UsageError(f"{self._identity}'s transport is closed; connect again")
                if self._live is not None and self.is_connected:
                    return self._live
                await self._discard()
                if await self._try_every_address():
                    continue
                await self._clock.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause = min(_LONGEST_PAUSE, pause * 2)

    async def _try_every_address(self) -> bool:
        for _ in self._urls:
            index, self._next = self._next, (self._next + 1) % len(self._urls)
            if await self._try(index):
                # The next loss starts at the address that worked last.
                self._next = index
                return True
        return False

    async def _try(self, index: int) -> bool:
        connection = aio_pika.Connection(
            make_url(self._urls[index], heartbeat=self._heartbeat),
            client_properties={"connection_name": self._identity},
            heartbeat=self._heartbeat,
        )
        tap = TapFactory() if self._client == "tap" else None
        if tap is not None:
            connection.kwargs["transport_factory"] = tap
        try:
            with told_of_losses():
                await connection.connect(timeout=_ATTEMPT_TIMEOUT)
        except _REFUSALS as error:
            await _close(connection)
            raise LoginRefusedError(
                f"{self._addresses[index]} refused the credentials of {self._identity}; "
                "check the URL's user and password, or with auth=EXTERNAL the name in the certificate, against the "
                "broker's definitions"
            ) from error
        except _FAILURES as error:
            await _close(connection)
            self._last_error = error
            return False
        except BaseException:
            await _close(connection)
            raise
        if tap is not None and connection.transport is not None:
            tap.under = connection.transport.connection
        self._live, self._tap = connection, tap
        self._connections += 1
        return True

    async def _discard(self) -> None:
        live, self._live = self._live, None
        tap = self._tap
        if live is not None:
            try:
                await _close(live)
            finally:
                if tap is not None and tap.stream is not None:
                    tap.stream.abort()


async def _close(connection: AbstractConnection) -> None:
    """Close within a bound, also when cancelled: one that is left open closes itself at a moment of its own."""
    with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True), suppress(*_FAILURES), told_of_losses():
        await connection.close()
    if not connection.is_closed:
        # The first call has let go of the socket; without this one it would close itself once more when collected.
        with anyio.CancelScope(shield=True), suppress(*_FAILURES), told_of_losses():
            await connection.close()


async def underlay(channel: AbstractChannel) -> aiormq.Channel:
    """Return the client library's lower half of a channel: one object less per message than its upper half."""
    lower = await channel.get_underlay_channel()
    assert isinstance(lower, aiormq.Channel)
    return lower


def _address(url: str) -> str:
    """Return host and port only: a URL's user, password and query stay out of every text."""
    try:
        parts = urlsplit(url)
        port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
    except ValueError as error:
        raise UsageError("a broker URL's port is a number from 1 to 65535, its host a name or an address") from error
    if parts.scheme not in {"amqp", "amqps"} or not parts.hostname:
        raise UsageError("a broker URL starts with amqp:// or amqps:// and names a host")
    return f"{parts.hostname}:{port}"


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
