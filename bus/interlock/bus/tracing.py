"""Spans of one agent, in the trace of their conversation; it knows OpenTelemetry's API, and no SDK."""

from __future__ import annotations

__all__ = ["Spans", "TracerSpans", "Tracing", "blame", "describe", "nanos"]

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from interlock.bus import trace_context
from interlock.protocol.errors import InterlockError

_LONGEST = 300


class Spans(Protocol):
    """What starts spans."""

    @property
    def takes_ids(self) -> bool:
        """Whether a span can be given ids that were computed beforehand."""
        ...

    def records(self, context: SpanContext) -> bool:
        """Whether a span in this context can come to anything; if not, nobody needs to describe it."""
        ...

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: dict[str, AttributeValue],
        at: datetime,
        own: SpanContext | None,
    ) -> Span:
        """Start a span at a moment; `attributes` are its own from now on, `own` the ids that it is to have."""
        ...


@dataclass(frozen=True, slots=True)
class TracerSpans:
    """Spans of somebody's tracer, whose sampler decides about each."""

    tracer: Tracer
    force: Callable[[SpanContext | None], object] | None = None
    """Has the spans of this task take these ids, until called with None; without it the tracer chooses ids itself."""

    @property
    def takes_ids(self) -> bool:
        """Whether its ids can be chosen."""
        return self.force is not None

    def records(self, context: SpanContext) -> bool:  # noqa: ARG002 - the port's signature
        """Its sampler may want to see the attributes."""
        return True

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: dict[str, AttributeValue],
        at: datetime,
        own: SpanContext | None,
    ) -> Span:
        """Start a span."""
        context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent))
        if own is None or self.force is None:
            return self.tracer.start_span(name, context=context, kind=kind, attributes=attributes, start_time=nanos(at))
        self.force(own)
        try:
            return self.tracer.start_span(name, context=context, kind=kind, attributes=attributes, start_time=nanos(at))
        finally:
            self.force(None)


@dataclass(frozen=True, slots=True)
class Tracing:
    """Where each span of an agent stands in the trace of its conversation."""

    spans: Spans
    sampled: Callable[[int], bool] = lambda _: True
    """Whether a trace with this id is kept, where no message has said so yet."""

    def parent(self, traceparent: str | None, conversation_id: str) -> SpanContext:
        """Return what a message's spans continue: its own context, or the root of its conversation."""
        if traceparent is not None:
            return trace_context.parse(traceparent)
        return self.root(conversation_id)

    def root(self, conversation_id: str) -> SpanContext:
        """Return the context of a conversation's root span."""
        context = trace_context.root(conversation_id, sampled=False)
        return trace_context.root(conversation_id, sampled=self.sampled(context.trace_id))

    def is_root(self, context: SpanContext, conversation_id: str) -> bool:
        """Return whether this is the context of a conversation's root span."""
        root = trace_context.root(conversation_id, sampled=False)
        return (context.trace_id, context.span_id) == (root.trace_id, root.span_id)

    def creation(self, writer: SpanContext, message_id: str) -> SpanContext:
        """Return the context that a message carries, from that of the span which writes it."""
        return trace_context.hop(writer, message_id) if self.spans.takes_ids else writer

    def writer(self, creation: SpanContext, message_id: str) -> SpanContext:
        """Return the context of the span that wrote a message, from the one that it carries."""
        return trace_context.hop(creation, message_id) if self.spans.takes_ids else creation


def blame(span: Span, error: BaseException) -> None:
    """Tell an error by its kind, and by its text where that is one of ours, which hold no secret."""
    span.set_attribute("error.type", describe(error))
    text = str(error)[:_LONGEST] if isinstance(error, InterlockError) else None
    span.set_status(Status(StatusCode.ERROR, text))


def describe(error: BaseException) -> str:
    """Return the kind of an error, as `error.type`."""
    return type(error).__qualname__


def nanos(moment: datetime) -> int:
    """Return nanoseconds since 1970, exact to the microsecond."""
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
