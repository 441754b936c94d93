"""Ends what is being worked on before its handler does: it is not wanted any more, or its time is over.

It says which message and why, and cancels its scope; what is answered then, the attempt decides.
"""

from __future__ import annotations

__all__ = ["Interruption", "Interruptions", "UnderWay"]

import logging
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import anyio

from interlock.agents.patience import Patience
from interlock.bus.clock import Clock
from interlock.bus.store.port import Store
from interlock.bus.store.records import Claim, InboxMessage
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError
from interlock.protocol.message import Effect, Message, Request
from interlock.protocol.messages.task import DeadlineExceeded, TaskCancelled

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Interruption:
    """Why a request ends early."""

    code: str
    """`cancelled` or `deadline_exceeded`."""
    reason: str
    answer: TaskCancelled | DeadlineExceeded
    """What the requester is told when nothing was changed."""


@dataclass(slots=True, eq=False)
class UnderWay:
    """One request that is being worked on."""

    claim: Claim
    envelope: Envelope[Message]
    until: datetime | None
    """When its time is over; None when it has no deadline."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    interruption: Interruption | None = None
    """Set before the scope is cancelled."""


class Interruptions:
    """Knows the requests under way in this process, and finds in the store who has cancelled them.

    A cancellation lies in the inbox behind its request, whichever replica took it in: so neither a crash nor another
    replica loses it. `look` is called as soon as one has come in here, and now and then for those of other replicas.
    """

    def __init__(self, *, catalogue: Catalogue, store: Store, clock: Clock, patience: Patience, grace: float) -> None:
        """`grace` is how many seconds a request that changes things may go on after its deadline."""
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._patience = patience
        self._grace = timedelta(seconds=grace)
        self._under_way: dict[int, UnderWay] = {}

    def __repr__(self) -> str:
        return f"Interruptions(under_way={len(self._under_way)})"

    async def before(self, claim: Claim, envelope: Envelope[Message]) -> Interruption | None:
        """Return why this request is not to be begun, or not again; None when it is to be worked on."""
        if not isinstance(envelope.payload, Request):
            return None
        deadline = envelope.deadline
        # What was begun is brought to an end, also after its deadline.
        if not claim.begun and deadline is not None and self._clock.now() > deadline:
            return _too_late(envelope, deadline)
        if claim.followed:
            for message in await self._patience.insist(self._store.cancellations, (claim,)):
                if (order := self._order(message, envelope)) is not None:
                    return _unwanted(order)
        return None

    @contextmanager
    def working_on(self, claim: Claim, envelope: Envelope[Message]) -> Generator[UnderWay]:
        """Let the body be interrupted; whether it was is in what this yields, once the body has ended."""
        under_way = UnderWay(claim, envelope, self._until(envelope))
        if not isinstance(envelope.payload, Request):
            yield under_way  # nobody can take back or hurry what asks for no answer
            return
        self._under_way[claim.fence] = under_way
        try:
            with under_way.scope:
                yield under_way
        finally:
            self._under_way.pop(claim.fence, None)

    async def look(self) -> None:
        """Interrupt what has been cancelled, or is over its time."""
        if not self._under_way:
            return
        claims = tuple(under_way.claim for under_way in self._under_way.values())
        messages = await self._patience.insist(self._store.cancellations, claims)
        now = self._clock.now()
        for under_way in tuple(self._under_way.values()):
            interruption = self._interruption(under_way, messages, now)
            if interruption is not None and under_way.interruption is None:
                _log.info("%s is interrupted: %s", under_way.envelope.id, interruption.reason)
                under_way.interruption = interruption
                under_way.scope.cancel()

    def patience_with(self, envelope: Envelope[Message], moment: datetime) -> bool:
        """Return whether another attempt at this moment would still be in time."""
        until = self._until(envelope)
        return until is None or moment <= until

    def _interruption(
        self, under_way: UnderWay, messages: Iterable[InboxMessage], now: datetime
    ) -> Interruption | None:
        for message in messages:
            if (order := self._order(message, under_way.envelope)) is not None:
                return _unwanted(order)
        deadline = under_way.envelope.deadline
        if deadline is not None and under_way.until is not None and now > under_way.until:
            return _too_late(under_way.envelope, deadline)
        return None

    def _order(self, message: InboxMessage, request: Envelope[Message]) -> Envelope[Message] | None:
        """Return a cancellation of this request by its own sender, the only one who may; None for any other."""
        if message.sender != request.sender or message.conversation_id != request.conversation_id:
            return None
        try:
            order = decode(message.body, catalogue=self._catalogue)
        except InvalidMessageError:
            return None  # of another release; it is buried when its turn comes
        return order if order.causation_id == request.id and isinstance(order.payload, TaskCancelled) else None

    def _until(self, envelope: Envelope[Message]) -> datetime | None:
        if envelope.deadline is None or not isinstance(envelope.payload, Request):
            return None
        if envelope.payload.declaration.effect is Effect.READ:
            return envelope.deadline
        return max(envelope.deadline, self._clock.now()) + self._grace


def _unwanted(order: Envelope[Message]) -> Interruption:
    assert isinstance(order.payload, TaskCancelled)
    reason = order.payload.reason
    return Interruption("cancelled", f"{order.sender} has cancelled it: {reason}"[:500], TaskCancelled(reason=reason))


def _too_late(request: Envelope[Message], deadline: datetime) -> Interruption:
    missed = DeadlineExceeded(request_id=request.id, request_type=request.type, deadline=deadline)
    return Interruption("deadline_exceeded", f"its deadline, {deadline.isoformat()}, has passed", missed)
