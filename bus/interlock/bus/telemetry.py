"""What an agent tells about its work, as spans and measurements; without anybody to tell, next to nothing happens.

https://opentelemetry.io/docs/specs/semconv/messaging/ names operations and attributes. Payloads are never told.
"""

from __future__ import annotations

__all__ = ["OFF", "Operation", "Telemetry", "current"]

from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind, set_span_in_context
from opentelemetry.util.types import AttributeValue

from interlock.bus import trace_context
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.store.records import OutboxMessage
from interlock.bus.tracing import Tracing, blame, describe, nanos
from interlock.bus.transport import Delivery, Outgoing
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import ALL, Message

if TYPE_CHECKING:  # instruments are imported by whoever measures
    from interlock.bus.meters import Meters

_EXCHANGE = "interlock.messages"


class Operation:
    """One piece of work, as a context manager; this one tells nobody."""

    __slots__ = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def concerns(self, envelope: Envelope[Message], *, begins: bool = False) -> None:
        """Say which message it is, once it could be read, and whether its conversation's trace begins with it."""

    def note(self, name: str, value: AttributeValue) -> None:
        """Add an attribute to the span."""

    def failed(self, error: BaseException) -> None:
        """Say that it did not succeed, though it ends in good order."""


_NOTHING = Operation()


class Telemetry:
    """Tells about one agent's work."""

    def __init__(
        self,
        agent: str,
        *,
        clock: Clock,
        system: str = "rabbitmq",
        tracing: Tracing | None = None,
        meters: Meters | None = None,
    ) -> None:
        """`system` is what messages travel over, as `messaging.system`; without `tracing` there are no spans."""
        self.agent = agent
        self.clock = clock
        self.system = system
        self.tracing = tracing
        self.meters = meters
        self.is_off = tracing is None and meters is None

    def __repr__(self) -> str:
        return f"Telemetry({self.agent!r}, tracing={self.tracing is not None}, metrics={self.meters is not None})"

    def conversation(self, conversation_id: str, *, name: str) -> Operation:
        """Return the root of a conversation's trace, for whoever begins it and sees it end."""
        if self.tracing is None:
            return _NOTHING
        attributes: dict[str, AttributeValue] = {"messaging.message.conversation_id": conversation_id}
        return _Work(self, name, name, SpanKind.INTERNAL, attributes, None, self.tracing.root(conversation_id))

    def sending(self, message: OutboxMessage | Outgoing, *, attempt: int) -> Operation:
        """Return an attempt at publishing a message, until its confirm."""
        return _NOTHING if self.is_off else _Sending(self, message, attempt)

    def receiving(self, delivery: Delivery) -> Operation:
        """Return the taking in of a delivery, from now until it is settled."""
        return _NOTHING if self.is_off else _Receiving(self, delivery)

    def processing(self, envelope: Envelope[Message], *, attempt: int) -> Operation:
        """Return one attempt at a message."""
        tracing = self.tracing
        if tracing is None:
            return (
                _NOTHING if self.meters is None else _Processing(self, envelope.type, "", SpanKind.CONSUMER, {}, None)
            )
        if not _is_traced(envelope):
            return _Processing(self, envelope.type, "", SpanKind.CONSUMER, {}, None)
        parent = tracing.parent(envelope.traceparent, envelope.conversation_id)
        attributes: dict[str, AttributeValue] = {}
        if tracing.spans.records(parent):
            attributes = _incoming(self, "process", envelope)
            attributes["interlock.attempt"] = attempt
        return _Processing(self, envelope.type, f"process {envelope.type}", SpanKind.CONSUMER, attributes, parent)

    def calling(self, system: str, operation: str) -> Operation:
        """Return one call of an outside system."""
        return _NOTHING if self.is_off else _Calling(self, system, operation)

    def effect(self, key: str) -> Operation:
        """Return one effect on the outside world, which may take several calls."""
        here = trace.get_current_span().get_span_context()
        if self.tracing is None or not here.is_valid:
            return _NOTHING
        return _Work(self, key, f"effect {key}", SpanKind.INTERNAL, {"interlock.effect.key": key}, here)

    def traceparent(self, message_id: str, otherwise: str | None) -> str | None:
        """Return what a message that is written now carries: `otherwise` its cause's context, which it continues."""
        if self.tracing is None:
            return otherwise
        here = trace.get_current_span().get_span_context()
        if not here.is_valid:
            if otherwise is None:
                return None
            here = trace_context.parse(otherwise)
        return trace_context.render(self.tracing.creation(here, message_id))

    def uncaused(self, message_id: str, conversation_id: str) -> str | None:
        """Return what a message carries that no other has caused.

        Outside of every span its sending is the root of the conversation that it begins, under its own id; in one that
        others have begun, its sending stands below their root.
        """
        if self.tracing is None:
            return None
        root = self.tracing.root(conversation_id)
        if message_id == conversation_id and not trace.get_current_span().get_span_context().is_valid:
            return trace_context.render(root)
        return self.traceparent(message_id, trace_context.render(root))


class _Work(Operation):
    """A span that is current while the body runs, and what its end is measured by.

    Without a parent and ids of its own it is measured alone: nothing of ours begins a trace that nobody has asked for.
    """

    __slots__ = (
        "_attached",
        "_attributes",
        "_began",
        "_error",
        "_kind",
        "_name",
        "_own",
        "_parent",
        "_since",
        "_span",
        "_subject",
        "_telemetry",
        "_told_before",
    )

    def __init__(
        self,
        telemetry: Telemetry,
        subject: str,
        name: str,
        kind: SpanKind,
        attributes: dict[str, AttributeValue],
        parent: SpanContext | None,
        own: SpanContext | None = None,
    ) -> None:
        """`subject` is what is worked on, in the terms of what is measured: for messages their type."""
        self._telemetry = telemetry
        self._subject = subject
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._parent = parent
        self._own = own
        self._span: Span | None = None
        self._error: BaseException | None = None
        self._told_before: Token[Telemetry | None] | None = None
        self._attached: Token[Any] | None = None

    def __enter__(self) -> Self:
        clock = self._telemetry.clock
        self._began = clock.monotonic()
        self._since = clock.now()
        self._become_current()
        return self

    def _become_current(self) -> None:
        """Have everything inside, also in tasks that are started there, belong to this."""
        telemetry, parent, own = self._telemetry, self._parent, self._own
        self._told_before = _current.set(telemetry)
        if telemetry.tracing is not None and (parent is not None or own is not None):
            self._span = span = telemetry.tracing.spans.start(
                self._name, self._kind, parent, self._attributes, self._since, own
            )
            self._attached = contexts.attach(set_span_in_context(span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        telemetry, error, span = self._telemetry, error or self._error, self._span
        if self._told_before is not None:
            _current.reset(self._told_before)
        if self._attached is not None:
            contexts.detach(self._attached)
        if span is None and telemetry.meters is None:
            return
        seconds = telemetry.clock.monotonic() - self._began
        if span is not None and span.is_recording():
            if error is not None:
                blame(span, error)
            span.end(nanos(self._since) + int(seconds * 1e6) * 1000)
        if telemetry.meters is not None:
            self._measure(telemetry.meters, seconds, describe(error) if error else None)

    def _measure(self, meters: Meters, seconds: float, error: str | None) -> None:
        """Record a duration."""

    def note(self, name: str, value: AttributeValue) -> None:
        if self._span is not None:
            self._span.set_attribute(name, value)

    def failed(self, error: BaseException) -> None:
        self._error = error


class _Processing(_Work):
    __slots__ = ()

    def _measure(self, meters: Meters, seconds: float, error: str | None) -> None:
        meters.processed(self._subject, seconds, error)


class _Calling(_Work):
    __slots__ = ("_operation",)

    def __init__(self, telemetry: Telemetry, system: str, operation: str) -> None:
        here = trace.get_current_span().get_span_context()
        attributes: dict[str, AttributeValue] = {
            "interlock.outside.system": system,
            "interlock.outside.operation": operation,
        }
        # Outside of any trace a call is measured, and begins no trace of its own.
        parent = here if here.is_valid else None
        super().__init__(telemetry, system, f"{system} {operation}", SpanKind.CLIENT, attributes, parent)
        self._operation = operation

    def _measure(self, meters: Meters, seconds: float, error: str | None) -> None:
        meters.called(self._subject, self._operation, seconds, error)


class _Receiving(_Work):
    """Begins before it is known what was received, so the span is started late, with the moment of the beginning."""

    __slots__ = ("_delivery",)

    def __init__(self, telemetry: Telemetry, delivery: Delivery) -> None:
        super().__init__(telemetry, "unknown", "receive", SpanKind.CLIENT, {}, None)
        self._delivery = delivery
        self._began = telemetry.clock.monotonic()
        self._since = telemetry.clock.now()

    def __enter__(self) -> Self:
        return self

    def concerns(self, envelope: Envelope[Message], *, begins: bool = False) -> None:
        telemetry, tracing = self._telemetry, self._telemetry.tracing
        self._subject = envelope.type
        if tracing is None or not _is_traced(envelope):
            return
        self._name = f"receive {envelope.type}"
        context = tracing.parent(envelope.traceparent, envelope.conversation_id)
        if tracing.spans.records(context):
            self._attributes = attributes = _incoming(telemetry, "receive", envelope)
            attributes["messaging.message.body.size"] = len(self._delivery.body)
            if self._delivery.attempt > 1:
                attributes["interlock.delivery.attempt"] = self._delivery.attempt
        if begins:
            self._own = context
        else:
            self._parent = context
        self._become_current()

    def _measure(self, meters: Meters, seconds: float, error: str | None) -> None:  # noqa: ARG002 - what is overridden
        meters.consumed(self._subject, error)


class _Sending(_Work):
    """Has the ids that the message carries if it succeeds; an attempt that fails is a span beside it.

    What carries the root of its conversation was sent by that: see `Telemetry.uncaused`.
    """

    __slots__ = ("_attempt", "_message")

    def __init__(self, telemetry: Telemetry, message: OutboxMessage | Outgoing, attempt: int) -> None:
        super().__init__(telemetry, message.type, "send", SpanKind.PRODUCER, {}, None)
        self._message = message
        self._attempt = attempt

    def __enter__(self) -> Self:
        clock = self._telemetry.clock
        self._began = clock.monotonic()
        self._since = clock.now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        telemetry, message, tracing = self._telemetry, self._message, self._telemetry.tracing
        if tracing is not None and message.traceparent is not None:
            carried = trace_context.parse(message.traceparent)
            if tracing.spans.records(carried):
                own = carried if (error or self._error) is None else None
                parent: SpanContext | None = tracing.writer(carried, message.message_id)
                begins = message.message_id == message.conversation_id
                if begins and tracing.is_root(carried, message.conversation_id):
                    parent = None if own is not None and tracing.spans.takes_ids else carried
                attributes = _outgoing(telemetry, message, self._attempt)
                self._span = tracing.spans.start(
                    f"send {message.type}", SpanKind.PRODUCER, parent, attributes, self._since, own
                )
        super().__exit__(kind, error, trace)

    def _measure(self, meters: Meters, seconds: float, error: str | None) -> None:
        meters.sent(self._subject, seconds, error)


def _is_traced(envelope: Envelope[Message]) -> bool:
    """Announcements without a trace, such as heartbeats, do not begin one."""
    return envelope.receiver != ALL or envelope.traceparent is not None


def _incoming(telemetry: Telemetry, operation: str, envelope: Envelope[Message]) -> dict[str, AttributeValue]:
    key = f"{envelope.receiver}.{envelope.type}"
    attributes: dict[str, AttributeValue] = {
        "messaging.system": telemetry.system,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": f"{_EXCHANGE}:{key}:{telemetry.agent}",
        "messaging.rabbitmq.destination.routing_key": key,
        "messaging.message.id": envelope.id,
        "messaging.message.conversation_id": envelope.conversation_id,
        "interlock.message.type": envelope.type,
        "interlock.sender": envelope.sender,
    }
    if envelope.causation_id is not None:
        attributes["interlock.causation_id"] = envelope.causation_id
    return attributes


def _outgoing(telemetry: Telemetry, message: OutboxMessage | Outgoing, attempt: int) -> dict[str, AttributeValue]:
    key = f"{message.reply_to or message.receiver}.{message.type}"
    attributes: dict[str, AttributeValue] = {
        "messaging.system": telemetry.system,
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": f"{_EXCHANGE}:{key}",
        "messaging.rabbitmq.destination.routing_key": key,
        "messaging.message.id": message.message_id,
        "messaging.message.conversation_id": message.conversation_id,
        "messaging.message.body.size": len(message.body),
        "interlock.message.type": message.type,
        "interlock.receiver": message.receiver,
        "interlock.attempt": attempt,
    }
    if message.causation_id is not None:
        attributes["interlock.causation_id"] = message.causation_id
    return attributes


OFF = Telemetry("", clock=SystemClock())
"""Tells nobody."""

_current: ContextVar[Telemetry | None] = ContextVar("interlock_telemetry", default=None)


def current() -> Telemetry:
    """Return who is to be told about what the running task does."""
    return _current.get() or OFF
