"""One request in flight: which answers it takes, how long it waits, and how it ended; it knows no transport."""

from __future__ import annotations

__all__ = ["LIFE_CYCLE", "OnProgress", "PendingRequest", "UnderWay"]

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from interlock.bus.alarms import Alarms
from interlock.bus.clock import Clock
from interlock.bus.errors import DeadlineExceededError
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InterlockError
from interlock.protocol.message import Message
from interlock.protocol.messages.task import (
    DeadlineExceeded,
    InputRequired,
    MessageRejected,
    TaskAccepted,
    TaskCancelled,
    TaskCompleted,
    TaskDeclined,
    TaskFailed,
    TaskProgress,
)

UnderWay: TypeAlias = TaskAccepted | TaskProgress
"""What says that a request is being worked on, and does not end it."""

OnProgress: TypeAlias = Callable[[UnderWay], Awaitable[None]]
"""Is given these in their order, in the task that waits for the answer."""

_SENDING = 30.0

LIFE_CYCLE = (
    DeadlineExceeded,
    InputRequired,
    MessageRejected,
    TaskCancelled,
    TaskCompleted,
    TaskDeclined,
    TaskFailed,
)
"""What may end any request, beside the replies that it declares."""

_FOR_ANY_REQUEST = (TaskAccepted, TaskProgress, *LIFE_CYCLE)


class PendingRequest:
    """Waits for what ends one request; acceptance and progress prolong the wait, up to the request's deadline.

    Thousands may wait at a time, so it is small: an `asyncio.Event` and a deque begin with room for 64 entries each, a
    quarter of what a waiting request takes.
    """

    __slots__ = (
        "_alarms",
        "_clock",
        "_deadline",
        "_ending",
        "_expires",
        "_has_news",
        "_silence",
        "_since",
        "_under_way",
        "_waiter",
        "request",
    )

    def __init__(self, request: Envelope[Message], *, silence: float, clock: Clock, alarms: Alarms) -> None:
        """`silence` is how many seconds may pass without a word from the receiver."""
        self.request = request
        self._clock = clock
        self._alarms = alarms
        self._since = clock.monotonic()
        self._silence = silence
        self._deadline = float("inf")
        if request.deadline is not None:
            self._deadline = clock.monotonic() + (request.deadline - clock.now()).total_seconds()
        self._expires = 0.0
        self._under_way: list[UnderWay] = []
        self._ending: Message | InterlockError | None = None
        self._has_news = False
        self._waiter: asyncio.Future[None] | None = None
        self.prolong()

    def __repr__(self) -> str:
        return f"PendingRequest({self.request.type!r}, id={self.request.id!r}, left={self.left:g})"

    @property
    def left(self) -> float:
        """Seconds until it has waited for long enough."""
        return self._expires - self._clock.monotonic()

    @property
    def left_to_send(self) -> float:
        """Seconds for handing it to the broker: among thousands that takes its time, and is nobody's silence."""
        return min(self._deadline, self._since + max(self._silence, _SENDING)) - self._clock.monotonic()

    @property
    def has_ended(self) -> bool:
        """Whether the answer has come, or will not come."""
        return self._ending is not None

    def prolong(self) -> None:
        """Begin the silence anew."""
        self._expires = min(self._deadline, self._clock.monotonic() + self._silence)

    def is_answered_by(self, envelope: Envelope[Message]) -> bool:
        """Return whether this comes from whom we asked, in our conversation, and is something that may answer us."""
        request = self.request
        if (envelope.sender, envelope.conversation_id) != (request.receiver, request.conversation_id):
            return False
        if isinstance(envelope.payload, _FOR_ANY_REQUEST):
            return True
        return any(reply.declaration.type == envelope.type for reply in request.payload.declaration.replies)

    def receive(self, message: Message) -> None:
        """Take an answer, or a word that one is being worked on."""
        if isinstance(message, (TaskAccepted, TaskProgress)):
            self._under_way.append(message)
            self.prolong()
        else:
            self._ending = message
        self._tell()

    def fail(self, error: InterlockError) -> None:
        """End the wait with an error, unless the answer has come."""
        if self._ending is None:
            self._ending = error
            self._tell()

    async def wait(self, on_progress: OnProgress | None) -> Message:
        """Return what ended it. Raises DeadlineExceededError, and whatever it was failed with."""
        while True:
            await self._wait_for_news()
            while self._under_way:
                step = self._under_way.pop(0)
                if on_progress is not None:
                    await on_progress(step)
            ending = self._ending
            if isinstance(ending, DeadlineExceeded):
                raise self._exceeded()
            if isinstance(ending, InterlockError):
                raise ending
            if ending is not None:
                return ending
            if self.left <= 0 and not self._has_news:
                raise self._exceeded()

    def _exceeded(self) -> DeadlineExceededError:
        request = self.request
        waited = self._clock.monotonic() - self._since
        return DeadlineExceededError(request.receiver, request.type, request.id, waited)

    async def _wait_for_news(self) -> None:
        """Return when something has come, or the time is over."""
        if not self._has_news:
            self._waiter = asyncio.get_running_loop().create_future()
            alarm = self._alarms.set(self._expires, self._tell)
            try:
                await self._waiter
            finally:
                self._waiter = None
                alarm.cancel()
        self._has_news = False

    def _tell(self) -> None:
        self._has_news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
