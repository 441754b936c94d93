"""Requests in flight: one reply address for all of them, and every answer checked before its waiter gets it.

It knows envelopes and a transport; it decides nothing about what an answer means.
"""

from __future__ import annotations

__all__ = ["RequestStatistics", "Requests"]

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from interlock.bus.acceptance import accept
from interlock.bus.alarms import Alarms
from interlock.bus.clock import Clock
from interlock.bus.errors import DeadlineExceededError, UnconfirmedError
from interlock.bus.pending import OnProgress, PendingRequest
from interlock.bus.transport import Delivery, Outgoing, Transport
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InterlockError, InvalidMessageError, TransientError
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskCancelled

if TYPE_CHECKING:  # imported by whoever tells
    from interlock.bus.telemetry import Telemetry

_log = logging.getLogger(__name__)

_PAUSE = 0.2
_CONFIRM = 10.0
"""Seconds until a request that was not confirmed is sent again."""
_LONGEST_CANCEL = 5.0
"""Seconds for telling the receiver that nobody waits any more."""


@dataclass(frozen=True, slots=True)
class RequestStatistics:
    """What became of the requests of one bus since it was opened."""

    pending: int
    """Requests that wait for their answer at this moment."""
    answered: int
    """Requests that were answered, in whichever way."""
    exceeded: int
    """Requests that got no answer in time."""
    abandoned: int
    """Requests whose caller was cancelled, or failed while it waited; the receiver was told."""
    failed: int
    """Requests that could not be sent, or whose transport was closed."""
    late: int
    """Deliveries dropped since no such request was waiting any more."""
    mismatched: int
    """Deliveries dropped since they came from another agent or conversation, or are no answer to the request."""
    unreadable: int
    """Deliveries dropped since they were no acceptable messages."""


class Requests:
    """The requests of one identity, which share one reply address.

    The first one opens the address; it is read until `aclose`, or until the transport is closed. After a lost
    connection the address is opened again under its old name, and what is in flight goes on waiting: an agent's answer
    that found nobody is sent again by its outbox. An answer that lay in the lost queue is gone with it; its
    request ends by its timeout.
    """

    def __init__(
        self, transport: Transport, *, clock: Clock, catalogue: Catalogue, telemetry: Telemetry | None = None
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._catalogue = catalogue
        self._telemetry = telemetry
        self._alarms = Alarms(clock)
        self._pending: dict[str, PendingRequest] = {}
        self._opened: asyncio.Future[str] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"Requests(identity={self._transport.identity!r}, pending={len(self._pending)})"

    def statistics(self) -> RequestStatistics:
        """Return how many wait, and what became of the others."""
        names = ("answered", "exceeded", "abandoned", "failed", "late", "mismatched", "unreadable")
        return RequestStatistics(pending=len(self._pending), **{name: self._counts[name] for name in names})

    async def ask(
        self,
        request: Envelope[Message],
        *,
        silence: float,
        on_progress: OnProgress | None = None,
        cancel_on_timeout: bool = False,
    ) -> Message:
        """Send a request and return what ends it; see `Bus.request`."""
        pending = self._pending[request.id] = PendingRequest(
            request, silence=silence, clock=self._clock, alarms=self._alarms
        )
        try:
            await self._hand_over(pending)
            pending.prolong()
            answer = await pending.wait(on_progress)
        except DeadlineExceededError:
            self._counts["exceeded"] += 1
            if cancel_on_timeout:
                await self._cancel(request, reason="no answer in time")
            raise
        except InterlockError:
            self._counts["failed"] += 1
            raise
        except BaseException:  # the caller was cancelled, or its own callback failed: nobody waits any more
            self._counts["abandoned"] += 1
            await self._cancel(request, reason="the requester waits no longer")
            raise
        finally:
            del self._pending[request.id]
        self._counts["answered"] += 1
        return answer

    async def aclose(self) -> None:
        """Close the reply address; requests in flight end with TransientError. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([reader])

    async def _hand_over(self, pending: PendingRequest) -> None:
        """Send a request, again under its own id where it is unknown whether the broker has it: a leader may change.

        A receiver's inbox removes the double.
        """
        address, attempt = await self._address(), 0
        while True:
            try:
                patience = min(_CONFIRM, pending.left_to_send)
                attempt += 1
                await self._send(pending.request, reply_to=address, timeout=patience, attempt=attempt)
            except UnconfirmedError:
                if pending.has_ended:
                    return  # whether confirmed or not, it has been answered
                if pending.left_to_send <= _PAUSE:
                    raise
                await self._clock.sleep(_PAUSE)
            else:
                return

    async def _address(self) -> str:
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._reader = asyncio.create_task(self._read(self._opened))
        return await asyncio.shield(self._opened)

    async def _read(self, opened: asyncio.Future[str]) -> None:
        """Hand out what arrives, until the transport is closed."""
        error: InterlockError = TransientError("the bus was closed while requests waited for their answers; ask again")
        try:
            async with self._transport.replies() as (address, deliveries):
                opened.set_result(address)
                async for delivery in deliveries:
                    self._dispatch(delivery)
        except InterlockError as cause:
            error = cause
        finally:
            self._opened = None
            if not opened.done():
                opened.set_exception(error)
                opened.exception()  # there may be nobody left to retrieve it
            for pending in self._pending.values():
                pending.fail(error)
            self._alarms.stop()

    def _dispatch(self, delivery: Delivery) -> None:
        try:
            envelope = self._accept(delivery)
        except InvalidMessageError as error:
            self._counts["unreadable"] += 1
            _log.warning("%s drops what came to its reply address: %s", self._transport.identity, error)
            return
        pending = self._pending.get(envelope.causation_id or "")
        if pending is None or pending.has_ended:
            self._counts["late"] += 1
        elif pending.is_answered_by(envelope):
            pending.receive(envelope.payload)
        else:
            self._counts["mismatched"] += 1
            _log.warning(
                "%s drops '%s' from %s (message %s): it is no answer to '%s' (message %s), which %s was asked",
                *(self._transport.identity, envelope.type, envelope.sender, envelope.id),
                *(pending.request.type, pending.request.id, pending.request.receiver),
            )

    def _accept(self, delivery: Delivery) -> Envelope[Message]:
        if self._telemetry is None:
            return accept(delivery, catalogue=self._catalogue)
        with self._telemetry.receiving(delivery) as receiving:
            envelope = accept(delivery, catalogue=self._catalogue)
            receiving.concerns(envelope)
        return envelope

    async def _cancel(self, request: Envelope[Message], *, reason: str) -> None:
        """Tell the receiver, as well as it goes: the caller's own error or cancellation goes on in any case."""
        message_id, traceparent = new_id(), request.traceparent
        if self._telemetry is not None:
            traceparent = self._telemetry.traceparent(message_id, traceparent)
        order: Envelope[Message] = Envelope.wrap(
            TaskCancelled(reason=reason),
            id=message_id,
            sender=request.sender,
            receiver=request.receiver,
            sent_at=self._clock.now(),
            conversation_id=request.conversation_id,
            causation_id=request.id,
            traceparent=traceparent,
        )
        with anyio.move_on_after(_LONGEST_CANCEL, shield=True):
            try:
                await self._send(order, timeout=_LONGEST_CANCEL)
            except InterlockError as error:
                _log.warning(
                    "%s could not be told that message %s is not wanted: %s", request.receiver, request.id, error
                )

    async def _send(
        self, envelope: Envelope[Message], *, timeout: float, reply_to: str | None = None, attempt: int = 1
    ) -> None:
        outgoing = Outgoing.of(envelope, reply_to=reply_to)
        if self._telemetry is None:
            await self._transport.publish(outgoing, timeout=timeout)
        else:
            with self._telemetry.sending(outgoing, attempt=attempt):
                await self._transport.publish(outgoing, timeout=timeout)
