"""What a handler is given beside its message: who asked, what time it is, and the journal of its effects."""

from __future__ import annotations

__all__ = ["Context", "operation"]

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar, cast

from interlock.bus.clock import Clock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.port import Store
from interlock.bus.store.records import EffectState
from interlock.bus.telemetry import current
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InterlockError, TransientError, UnknownOutcomeError, UsageError
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskProgress

T = TypeVar("T")


class ProgressSender(Protocol):
    """Sends a progress message at once, ahead of the handler's own answer."""

    async def __call__(self, message: TaskProgress, receiver: str, /) -> None:
        """Put the message into the outbox."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of one attempt at one message. Nothing in it is global."""

    agent: str
    envelope: Envelope[Message]
    attempt: int
    """1 for the first."""
    fence: int
    """Grows with every attempt; a store refuses writes under an older one."""
    clock: Clock
    store: Store
    send_progress: ProgressSender
    effects: dict[str, EffectState] = field(default_factory=dict)
    """What `once` has come to in this attempt, by key."""

    @property
    def sender(self) -> str:
        """Who sent the message, as the broker authenticated it."""
        return self.envelope.sender

    @property
    def conversation_id(self) -> str:
        """The conversation that everything sent from here joins."""
        return self.envelope.conversation_id

    @property
    def deadline(self) -> datetime | None:
        """By when the request must have ended. A handler that is at work then is cancelled: see the how-to."""
        return self.envelope.deadline

    async def progress(
        self, step: str, *, percent: int | None = None, detail: str | None = None, to: str | None = None
    ) -> None:
        """Tell the requester, or `to`, how far this has come; at once, and once per step for all attempts."""
        await self.send_progress(TaskProgress(step=step, percent=percent, detail=detail), to or self.sender)

    async def once(
        self, key: str, effect: Callable[[], Awaitable[T]], *, request: object = None, repeatable: bool = False
    ) -> T:
        """Carry out an effect on the outside world at most once per conversation and key, and journal it.

        What the effect returned (something JSON can hold) is returned again without carrying it out when this message
        is handled anew. `request` is what the effect depends on: the same key with another request is an error.

        An effect that raises a transient or permanent error has not happened, and may be tried again. One that was
        interrupted, lost its answer, or raised anything else is unknown: UnknownOutcomeError is raised. A `repeatable`
        effect looks before it acts, and is simply carried out again: after a lost answer TransientError is raised.
        """
        name = operation(self.envelope, key)
        digest = hashlib.sha256(json.dumps(request, sort_keys=True, default=str).encode()).hexdigest()
        row, new = await self.store.begin_effect(name, request_hash=digest, fence=self.fence)
        if row.state is EffectState.DONE:
            self.effects[key] = EffectState.DONE
            return cast("T", None if row.result is None else json.loads(row.result))
        if not new and row.state is not EffectState.FAILED and not repeatable:
            self.effects[key] = EffectState.UNKNOWN
            raise UnknownOutcomeError(
                f"{self.agent}: effect {key!r} of conversation {self.conversation_id} was interrupted; "
                "look at the outside system before it is repeated"
            )
        try:
            return await self._carry_out(key, effect, digest=digest, again=not new)
        except UnknownOutcomeError as error:
            if not repeatable:
                raise
            raise TransientError(
                f"{self.agent}: effect {key!r} is carried out again, it looks first: {error}"
            ) from error

    async def _carry_out(self, key: str, effect: Callable[[], Awaitable[T]], *, digest: str, again: bool) -> T:
        name = operation(self.envelope, key)
        if again:
            await self.store.forget_effect(name, fence=self.fence)
            _, ours = await self.store.begin_effect(name, request_hash=digest, fence=self.fence)
            if not ours:
                raise LeaseLostError(f"effect {name} was begun by another attempt meanwhile: drop this one")
        self.effects[key] = EffectState.STARTED
        try:
            with current().effect(key):
                result = await effect()
        except UnknownOutcomeError as error:
            self.effects[key] = EffectState.UNKNOWN
            await self.store.settle_effect(name, state=EffectState.UNKNOWN, result=str(error), fence=self.fence)
            raise
        except InterlockError as error:
            del self.effects[key]
            await self.store.settle_effect(name, state=EffectState.FAILED, result=str(error), fence=self.fence)
            raise
        except Exception as error:  # a library's own: nobody can tell what had happened by then
            self.effects[key] = EffectState.UNKNOWN
            kind = type(error).__name__
            await self.store.settle_effect(name, state=EffectState.UNKNOWN, result=kind, fence=self.fence)
            raise UnknownOutcomeError(
                f"{self.agent}: effect {key!r} of conversation {self.conversation_id} broke off with {kind}; "
                "look at the outside system before it is repeated"
            ) from error
        self.effects[key] = EffectState.DONE
        try:
            journalled = json.dumps(result)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"effect {name} has happened, but what it returned cannot be journalled ({error}): return JSON"
            ) from error
        await self.store.settle_effect(name, state=EffectState.DONE, result=journalled, fence=self.fence)
        return result


def operation(envelope: Envelope[Message], key: str) -> str:
    """Return the name under which a store keeps an effect: one per conversation and key."""
    return f"{envelope.conversation_id}:{key}"
