"""The relay: publishes what a store's outbox holds; it knows neither what the messages mean nor how they are stored."""

from __future__ import annotations

__all__ = ["Backoff", "Relay"]

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio

from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError, UnroutableError
from interlock.bus.store.port import Store
from interlock.bus.store.records import OutboxMessage
from interlock.bus.subject import about
from interlock.bus.telemetry import OFF, Telemetry
from interlock.bus.transport import Outgoing, Transport
from interlock.protocol.errors import InterlockError, PermanentError, TransientError, UnknownOutcomeError

_logger = logging.getLogger(__name__)

_LAST_WORDS = 5.0
"""Seconds for marking the last confirms when the relay is cancelled."""

_ANSWER_RETRIES = 5
"""How often an answer is offered again to an address that is not there: a requester that has lost its connection opens
the same one anew. With the default delays it has 8 to 15 seconds for that."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential delays with jitter: a random part of half the delay is taken off, so that crowds disperse."""

    first: float = 0.5
    """Seconds."""
    longest: float = 30.0
    """Seconds."""
    chance: Callable[[], float] = random.random
    """Gives numbers in [0, 1)."""

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after this many failures in a row, from 1."""
        full = min(self.longest, self.first * 2.0 ** min(attempt - 1, 30))
        return full * (1.0 - self.chance() / 2.0)


class Relay:
    """Publishes each outgoing message until the broker confirms it, under one id: at least once.

    Up to `window` publishes are in flight. Within a conversation they go one after the other, in the order in which
    they were written; one that must wait holds back those to the same receiver, and no others. What is confirmed is
    marked afterwards, many at a time: a crash in between publishes again, and the receiver's inbox removes the double.

    What this process has just written is published as it is, and not read back, as long as nothing else can be waiting
    before it: no other process has the store, nothing is postponed or unread, and there is room.
    """

    def __init__(
        self,
        store: Store,
        transport: Transport,
        *,
        clock: Clock,
        identity: str,
        window: int = 64,
        backoff: Backoff | None = None,
        telemetry: Telemetry = OFF,
    ) -> None:
        """`identity` is the agent in whose name everything is sent."""
        self._store = store
        self._transport = transport
        self._clock = clock
        self._identity = identity
        self._window = window
        self._backoff = backoff or Backoff()
        self._telemetry = telemetry
        self._woken = anyio.Event()
        self._told = 1
        """Grows whenever the store may have something new for us."""
        self._seen = 0
        """Up to which of these it was asked for all that it had."""
        self._running: asyncio.TaskGroup | None = None
        """What the lanes run in, as long as it takes new ones."""
        self._context = Context()
        self._due_at: float | None = None
        self._progress = anyio.Event()
        self._lanes: dict[str, deque[OutboxMessage]] = {}
        self._held: set[str] = set()
        self._confirmed: list[str] = []
        self._marking: asyncio.Task[None] | None = None
        self._failures: dict[str, int] = {}
        self._outages = 0
        self._paused_until = clock.monotonic()

    def __repr__(self) -> str:
        return f"Relay(identity={self._identity!r}, held={len(self._held)}, outages={self._outages})"

    def wake(self, written: Sequence[OutboxMessage] = ()) -> None:
        """Say that something was written to the outbox, or exactly what. Call it from the event loop's thread."""
        if written and self._running is not None and self._may_go_ahead(len(written)):
            self._start(written, self._running)
        else:
            self._told += 1
            self._woken.set()

    async def run(self) -> None:
        """Publish until cancelled; publishes that are then in flight are repeated by the next run.

        An absent broker or store is waited for. Refused credentials end the run with LoginRefusedError, and what was
        to be sent stays in the outbox. What else they raise is a mistake in the program and ends the run as well. Each
        comes in an exception group.
        """
        try:
            async with asyncio.TaskGroup() as lanes:  # a fourth of the cost of anyio's, for as many tasks as messages
                self._told += 1
                self._context = copy_context()
                self._running = lanes
                try:
                    while True:
                        self._woken = woken = anyio.Event()
                        try:
                            until = await self._turn(lanes)
                        except TransientError as error:
                            self._pause(error)
                            until = self._paused_until
                        await self._sleep(until, woken)
                finally:
                    self._running = None
        finally:
            # What stays unmarked is published once more, and removed as a double.
            with anyio.move_on_after(_LAST_WORDS, shield=True), contextlib.suppress(TransientError):
                await self._mark()
            self._confirmed.clear()
            self._lanes.clear()
            self._held.clear()

    async def drain(self, deadline: datetime) -> int:
        """Wait until `run`, in another task, has sent everything, or for the deadline; returns how many are unsent."""
        while True:
            progress = self._progress
            left = (await self._store.counts()).unsent
            seconds = (deadline - self._clock.now()).total_seconds()
            if not left or seconds <= 0:
                return left
            self.wake()
            await self._sleep(self._clock.monotonic() + seconds, progress)

    async def _turn(self, lanes: asyncio.TaskGroup) -> float | None:
        """Start what there is room for, and return until when to sleep, None for ever.

        What goes out next does not wait until the disk has taken that something has gone. The marking is asked for
        before the look, so that the look does not see what has just been marked as waiting.
        """
        if self._confirmed and (self._marking is None or self._marking.done()):
            self._marking = lanes.create_task(self._mark_apart())
        if self._paused():
            return self._paused_until
        if self._room <= 0:
            return None  # whoever makes room wakes
        is_due = self._due_at is not None and self._due_at <= self._clock.monotonic()
        if self._seen < self._told or is_due:
            await self._look(lanes)
        return self._paused_until if self._paused() else self._due_at

    async def _look(self, lanes: asyncio.TaskGroup) -> None:
        """Read what waits, and start what is new; what finds no room has the next confirm look again."""
        self._told += 1  # nothing goes ahead of the answer
        told = self._told
        # In this order: what becomes due between the two questions is in the answer to the second.
        due, fresh = await asyncio.gather(self._store.next_unsent_due(), self._fresh())
        self._due_at = None if due is None else self._clock.monotonic() + (due - self._clock.now()).total_seconds()
        if self._paused():
            return
        room = self._room
        self._start(fresh[:room], lanes)
        if len(fresh) < room:
            self._seen = told

    async def _fresh(self) -> list[OutboxMessage]:
        waiting = await self._store.unsent(limit=self._window + len(self._held))
        return [message for message in waiting if message.message_id not in self._held]

    @property
    def _room(self) -> int:
        """How many more may be in flight; what is confirmed is held until it is marked, but takes no room."""
        return self._window - len(self._held) + len(self._confirmed)

    def _may_go_ahead(self, count: int) -> bool:
        """Return whether nothing can be waiting in the store before what was written just now."""
        return (
            self._seen == self._told
            and self._due_at is None
            and not self._paused()
            and count <= self._room
            and not self._store.is_shared
        )

    def _start(self, messages: Iterable[OutboxMessage], lanes: asyncio.TaskGroup) -> None:
        for message in messages:
            if message.message_id in self._held:
                continue
            self._held.add(message.message_id)
            if (lane := self._lanes.get(message.conversation_id)) is not None:
                lane.append(message)
            else:
                self._lanes[message.conversation_id] = deque([message])
                # Started from whatever writes, a lane is about none of what its starter is about.
                lanes.create_task(self._publish_in_order(message.conversation_id), context=self._context.copy())

    async def _mark_apart(self) -> None:
        try:
            await self._mark()
        except TransientError as error:
            self._pause(error)
        except BaseException:
            self._running = None  # as in a lane
            raise
        self._woken.set()

    async def _mark(self) -> None:
        """Record the confirms so far in one go; those that come meanwhile are for the next turn."""
        if not self._confirmed:
            return
        confirmed = tuple(self._confirmed)
        await self._store.mark_sent(confirmed)
        del self._confirmed[: len(confirmed)]
        self._held.difference_update(confirmed)
        self._report_progress()

    async def _publish_in_order(self, conversation_id: str) -> None:
        """Publish one conversation's messages, also those that join while it goes on."""
        lane = self._lanes[conversation_id]
        while lane:
            message = lane.popleft()
            try:
                with about(self._identity, conversation_id, message.message_id, message.type):
                    await self._publish(message, lane)
            except TransientError as error:
                # The broker or the store is away: no fault of the message. Everything is read anew afterwards.
                self._pause(error)
                self._held.difference_update(left.message_id for left in (message, *lane))
                lane.clear()
            except BaseException:
                self._running = None  # the lanes end, and take no new ones until they have
                raise
            self._woken.set()
        del self._lanes[conversation_id]

    async def _publish(self, message: OutboxMessage, lane: deque[OutboxMessage]) -> None:
        """Publish one message and record what became of it.

        Raises TransientError when broker or store are away, LoginRefusedError when the broker does not let us in.
        """
        try:
            with self._telemetry.sending(message, attempt=self._failures.get(message.message_id, 0) + 1):
                await self._transport.publish(self._outgoing(message))
        except (BrokerUnavailableError, LoginRefusedError):
            raise
        except UnroutableError as error:
            if message.reply_to is None or self._failures.get(message.message_id, 0) < _ANSWER_RETRIES:
                await self._postpone(message, error, lane)
            else:  # the one who waited there is gone, and its address with it
                await self._abandon(message, error)
        except (TransientError, UnknownOutcomeError) as error:
            await self._postpone(message, error, lane)
        except PermanentError as error:
            await self._abandon(message, error)
        else:
            self._outages = 0
            self._failures.pop(message.message_id, None)
            self._confirmed.append(message.message_id)

    async def _postpone(self, message: OutboxMessage, error: InterlockError, lane: deque[OutboxMessage]) -> None:
        attempt = self._failures[message.message_id] = self._failures.get(message.message_id, 0) + 1
        not_before = self._clock.now() + timedelta(seconds=self._backoff.delay(attempt))
        await self._store.postpone(message.message_id, not_before=not_before, error=str(error))
        _logger.warning("message %s waits until %s: %s", message.message_id, not_before.isoformat(), error)
        # The store hands these out again when their turn has come.
        later = [follower for follower in lane if follower.receiver == message.receiver]
        for follower in later:
            lane.remove(follower)
        self._held.difference_update(held.message_id for held in (message, *later))
        self._told += 1

    async def _abandon(self, message: OutboxMessage, error: InterlockError) -> None:
        await self._store.abandon(message.message_id, error=str(error))
        self._held.discard(message.message_id)
        self._failures.pop(message.message_id, None)
        self._report_progress()
        _logger.error("message %s to %s was given up: %s", message.message_id, message.receiver, error)

    def _report_progress(self) -> None:
        """Let `drain` count again."""
        self._progress.set()
        self._progress = anyio.Event()

    def _outgoing(self, message: OutboxMessage) -> Outgoing:
        return Outgoing(
            body=message.body,
            message_id=message.message_id,
            sender=self._identity,
            receiver=message.reply_to or message.receiver,
            type=message.type,
            conversation_id=message.conversation_id,
            sent_at=message.created_at,
            causation_id=message.causation_id,
            traceparent=message.traceparent,
        )

    def _paused(self) -> bool:
        return self._clock.monotonic() < self._paused_until

    def _pause(self, error: TransientError) -> None:
        """Stop publishing for a while; the lanes that fail in the same outage count once."""
        self._told += 1
        if not self._paused():
            self._outages += 1
            if self._telemetry.meters is not None:
                self._telemetry.meters.relay_paused()
            delay = self._backoff.delay(self._outages)
            self._paused_until = self._clock.monotonic() + delay
            _logger.warning("publishing pauses for %.1f s: %s", delay, error)

    async def _sleep(self, until: float | None, woken: anyio.Event) -> None:
        """Return when woken, or at a moment of the monotonic clock."""
        if until is None:
            await woken.wait()
            return
        async with anyio.create_task_group() as race:

            async def ring() -> None:
                await self._clock.sleep(until - self._clock.monotonic())
                race.cancel_scope.cancel()

            race.start_soon(ring)
            await woken.wait()
            race.cancel_scope.cancel()
