"""One attempt at one message: runs the handler and records how it ended. It decides nothing about when."""

from __future__ import annotations

__all__ = ["Attempts"]

import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from interlock.agents.admitted import AdmittedEnvelopes
from interlock.agents.agent import Agent, Handler
from interlock.agents.context import Context, operation
from interlock.agents.interruption import Interruption, Interruptions
from interlock.agents.outbound import commit_of, enclose
from interlock.agents.patience import Patience
from interlock.agents.repair import Repairs
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.agents.timer import TIMER, TimerFired
from interlock.bus.clock import Clock
from interlock.bus.errors import LeaseLostError, StoreConflictError
from interlock.bus.relay import Backoff
from interlock.bus.store.port import Store
from interlock.bus.store.records import Claim, Commit, EffectState, OutboxMessage
from interlock.bus.subject import about
from interlock.bus.telemetry import OFF, Operation, Telemetry
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import (
    InterlockError,
    InvalidMessageError,
    PermanentError,
    TransientError,
    UnknownOutcomeError,
    UsageError,
)
from interlock.protocol.message import Effect, Message, Request
from interlock.protocol.messages.task import TaskDeclined, TaskFailed, TaskProgress

_log = logging.getLogger(__name__)

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}")


class Attempts:
    """Works on claimed messages in one agent's name; each attempt ends as done, to be retried, or dead."""

    def __init__(
        self,
        agent: Agent,
        *,
        store: Store,
        clock: Clock,
        patience: Patience,
        settings: RuntimeSettings,
        written: Callable[[Sequence[OutboxMessage]], None],
        rescheduled: Callable[[], None],
        repairs: Repairs | None = None,
        admitted: AdmittedEnvelopes | None = None,
        telemetry: Telemetry = OFF,
    ) -> None:
        """`written` is called with what is in the outbox from then on, without anything when that is not known.

        `rescheduled` is called when a retry or timer was set. What `repairs` answers never reaches handlers.
        """
        self._agent = agent
        self._store = store
        self._clock = clock
        self._patience = patience
        self._settings = settings
        self._written = written
        self._rescheduled = rescheduled
        self._repairs = repairs
        self._admitted = AdmittedEnvelopes() if admitted is None else admitted
        self._telemetry = telemetry
        self._backoff = Backoff(first=settings.first_retry, longest=settings.last_retry)
        self._interruptions = Interruptions(
            catalogue=agent.catalogue, store=store, clock=clock, patience=patience, grace=settings.grace
        )

    def __repr__(self) -> str:
        return f"Attempts({self._agent.name!r})"

    async def look(self) -> None:
        """Interrupt what its requester has cancelled, and what is over its time."""
        await self._interruptions.look()

    async def make(self, claim: Claim) -> None:
        """Run the message's handler and write what follows, together with the message's end.

        Raises LeaseLostError when someone else holds the message by now, StoreUnavailableError when the store stays
        away. Cancelling leaves the message claimed: release it.
        """
        try:
            envelope = self._envelope(claim)
        except InvalidMessageError as error:
            _log.error("%s can not read message %s any more: %s", self._agent.name, claim.message.message_id, error)
            await self._patience.insist(self._store.bury, claim, error=str(error))
            return
        with (
            about(self._agent.name, envelope.conversation_id, envelope.id, envelope.type),
            self._telemetry.processing(envelope, attempt=claim.attempt) as processing,
        ):
            await self._attempt(claim, envelope, processing)

    async def _attempt(self, claim: Claim, envelope: Envelope[Message], processing: Operation) -> None:
        context = self._context(claim, envelope)
        interruption = await self._interruptions.before(claim, envelope)
        if interruption is None:
            with self._interruptions.working_on(claim, envelope) as under_way:
                await self._work(claim, envelope, context, processing)
            # A scope that was cancelled after the last await has interrupted nothing.
            interruption = under_way.interruption if under_way.scope.cancelled_caught else None
        if interruption is not None:
            processing.note("interlock.interrupted", value=True)
            await self._end_early(claim, envelope, interruption, effects=context.effects)

    async def _work(self, claim: Claim, envelope: Envelope[Message], context: Context, processing: Operation) -> None:
        try:
            if claim.attempt > self._settings.max_attempts:
                raise PermanentError("every attempt before ended with its process; the message is not tried again")
            commit = await self._answer(claim, envelope, context)
            await self._write(commit, self._patience.insist(self._store.finish, claim, commit))
            if commit.set_timers:
                self._rescheduled()
        except LeaseLostError:
            raise
        except UnknownOutcomeError as error:
            processing.failed(error)
            await self._give_up(claim, envelope, error, code="unknown_outcome", effects=context.effects)
        except TransientError as error:
            processing.failed(error)
            await self._try_again(claim, envelope, error, limit=self._settings.max_attempts, effects=context.effects)
        except (PermanentError, UsageError) as error:
            processing.failed(error)
            await self._give_up(claim, envelope, error, code=_code(error), effects=context.effects)
        except Exception as error:  # a handler's own defect must not end the agent: it is retried, then dead
            processing.failed(error)
            _log.exception("%s failed on %s %s", self._agent.name, envelope.type, envelope.id)
            await self._try_again(claim, envelope, error, limit=self._settings.max_crashes, effects=context.effects)

    def _envelope(self, claim: Claim) -> Envelope[Message]:
        message = claim.message
        if message.type != TIMER:
            return self._admitted.take(message) or decode(message.body, catalogue=self._agent.catalogue)
        return Envelope.wrap(
            TimerFired(name=message.body.decode()),
            sender=self._agent.name,
            receiver=self._agent.name,
            sent_at=message.received_at,
            id=message.message_id,
            conversation_id=message.conversation_id,
        )

    async def _answer(self, claim: Claim, envelope: Envelope[Message], context: Context) -> Commit:
        message = envelope.payload
        handler = self._handler(message)
        if handler is not None:
            returned = await handler(message, context)
            return commit_of(
                returned,
                agent=self._agent.name,
                cause=envelope,
                now=self._clock.now(),
                reply_to=claim.message.reply_to,
            )
        if isinstance(message, Request):
            reason = f"{self._agent.name} has no handler for {envelope.type}"
            return self._commit(claim, envelope, TaskDeclined(code="not_handled", reason=reason))
        return Commit()

    def _handler(self, message: Message) -> Handler | None:
        if isinstance(message, TimerFired):
            return self._agent.timer_handler(message.name)
        declaration = message.declaration
        own = self._repairs.handler(declaration.type) if self._repairs else None
        return own or self._agent.handler(declaration.type, declaration.version)

    def _context(self, claim: Claim, envelope: Envelope[Message]) -> Context:
        async def send_progress(progress: TaskProgress, receiver: str) -> None:
            step = f"progress:{receiver}:{progress.step}:{progress.percent}"
            message = self._enclosed(claim, envelope, progress, receiver=receiver, ordinal=step)
            commit = Commit(outgoing=(message,))
            with contextlib.suppress(StoreConflictError):  # an earlier attempt has sent this step already
                await self._write(commit, self._store.commit(commit))

        return Context(
            agent=self._agent.name,
            envelope=envelope,
            attempt=claim.attempt,
            fence=claim.fence,
            clock=self._clock,
            store=self._store,
            send_progress=send_progress,
        )

    async def _try_again(
        self,
        claim: Claim,
        envelope: Envelope[Message],
        error: Exception,
        *,
        limit: int,
        effects: Mapping[str, EffectState],
    ) -> None:
        if claim.attempt >= limit:
            await self._give_up(claim, envelope, error, code="attempts_exhausted", retryable=True, effects=effects)
            return
        delay = self._backoff.delay(claim.attempt)
        if not self._interruptions.patience_with(envelope, self._clock.now() + timedelta(seconds=delay)):
            await self._give_up(claim, envelope, error, code="deadline_exceeded", effects=effects)
            return
        if self._telemetry.meters is not None:
            self._telemetry.meters.retried(envelope.type)
        _log.warning("%s tries %s %s again in %.1f s: %s", self._agent.name, envelope.type, envelope.id, delay, error)
        not_before = self._clock.now() + timedelta(seconds=delay)
        await self._patience.insist(self._store.retry, claim, not_before=not_before, error=_history(error))
        self._rescheduled()

    async def _end_early(
        self,
        claim: Claim,
        envelope: Envelope[Message],
        interruption: Interruption,
        *,
        effects: Mapping[str, EffectState],
    ) -> None:
        """Answer a request that its handler does not answer any more, honestly about what it has changed."""
        _log.warning("%s leaves %s %s: %s", self._agent.name, envelope.type, envelope.id, interruption.reason)
        effects = await self._with_earlier(claim, envelope, effects)
        open_ = _open(effects)
        # What an attempt before this one has changed beside its journalled effects, only its handler could tell.
        earlier = claim.begun and envelope.payload.declaration.effect is not Effect.READ
        try:
            if not effects and not earlier:
                commit = self._commit(claim, envelope, interruption.answer)
                await self._write(commit, self._patience.insist(self._store.finish, claim, commit))
            else:
                failure = TaskFailed(
                    code=interruption.code,
                    reason=interruption.reason,
                    outcome="unknown" if open_ or earlier else "failed",
                    side_effects=_told(effects),
                )
                commit = self._commit(claim, envelope, failure)
                burial = self._patience.insist(self._store.bury, claim, error=interruption.reason, commit=commit)
                await self._write(commit, burial)
        except LeaseLostError:
            return  # the handler's own end was written in the moment of the interruption
        for key in (key for key, state in effects.items() if state is EffectState.STARTED):
            await self._patience.insist(
                self._store.settle_effect,
                operation(envelope, key),
                state=EffectState.UNKNOWN,
                result=None,
                fence=claim.fence,
            )

    async def _give_up(
        self,
        claim: Claim,
        envelope: Envelope[Message],
        error: Exception,
        *,
        code: str,
        effects: Mapping[str, EffectState],
        retryable: bool = False,
    ) -> None:
        _log.error("%s gives up %s %s: %s", self._agent.name, envelope.type, envelope.id, error)
        if self._telemetry.meters is not None:
            self._telemetry.meters.died(envelope.type)
        commit = Commit()
        if isinstance(envelope.payload, Request):
            effects = await self._with_earlier(claim, envelope, effects)
            unknown = isinstance(error, UnknownOutcomeError) or bool(_open(effects))
            failure = TaskFailed(
                code=code,
                reason=_line(error),
                retryable=retryable and not unknown,
                outcome="unknown" if unknown else "failed",
                side_effects=_told(effects),
            )
            commit = self._commit(claim, envelope, failure)
        await self._write(commit, self._patience.insist(self._store.bury, claim, error=_history(error), commit=commit))

    async def _write(self, commit: Commit, writing: Awaitable[None]) -> None:
        """Wait until a commit is written, and tell what is in the outbox then."""
        try:
            await writing
        except BaseException:
            self._written(())  # it may be written all the same: after a cancellation, or when the store went away
            raise
        if commit.outgoing:
            self._written(commit.outgoing)

    async def _with_earlier(
        self, claim: Claim, envelope: Envelope[Message], effects: Mapping[str, EffectState]
    ) -> Mapping[str, EffectState]:
        """Return these effects of an attempt after what the attempts before it have left in the ledger."""
        if not claim.begun:
            return effects
        prefix = operation(envelope, "")
        rows = await self._patience.insist(self._store.effects_begun, prefix=prefix, since=claim.message.received_at)
        earlier = {row.key.removeprefix(prefix): row.state for row in rows if row.state is not EffectState.FAILED}
        return {**earlier, **effects}

    def _commit(self, claim: Claim, envelope: Envelope[Message], message: Message) -> Commit:
        """Return the runtime's own answer, under ids that a handler's answer after a revival does not meet."""
        ordinal = f"{message.declaration.type}:{claim.fence}"
        outgoing = self._enclosed(claim, envelope, message, receiver=envelope.sender, ordinal=ordinal)
        return Commit(outgoing=(outgoing,))

    def _enclosed(
        self, claim: Claim, envelope: Envelope[Message], message: Message, *, receiver: str, ordinal: str
    ) -> OutboxMessage:
        return enclose(
            message,
            agent=self._agent.name,
            receiver=receiver,
            cause=envelope,
            ordinal=ordinal,
            now=self._clock.now(),
            reply_to=claim.message.reply_to if receiver == envelope.sender else None,
        )


def _open(effects: Mapping[str, EffectState]) -> tuple[str, ...]:
    """Return the effects that may have happened."""
    return tuple(key for key, state in effects.items() if state in {EffectState.STARTED, EffectState.UNKNOWN})


def _told(effects: Mapping[str, EffectState]) -> tuple[str, ...]:
    """Return what the requester is told of the effects: those that are done, then those that may be."""
    done = tuple(key for key, state in effects.items() if state is EffectState.DONE)
    return tuple(key[:500] for key in (*done, *_open(effects)))


def _code(error: Exception) -> str:
    """Return the error's own code where it is one that a message may carry."""
    code = getattr(error, "code", None)
    return str(code) if isinstance(code, str) and _CODE.fullmatch(code) else "failed"


def _line(error: Exception) -> str:
    """Return what a peer may read: our errors hold no secrets, anyone else's only tell their kind."""
    text = str(error) if isinstance(error, InterlockError) else f"a defect of the handler: {type(error).__name__}"
    visible = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return visible[:500] or type(error).__name__


def _history(error: Exception) -> str:
    """Return the line that the message's history keeps."""
    return str(error) if isinstance(error, InterlockError) else f"{type(error).__name__}: {error}"
