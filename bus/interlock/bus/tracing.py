"""Spans of one agent, in the trace of their conversation; it knows OpenTelemetry's API, and no SDK."""

from __future__ import annotations

__all__ = ["Tracing", "describe"]

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

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


@dataclass(frozen=True, slots=True)
class Tracing:
    """Starts spans. Whether spans can be given ids that were computed beforehand depends on whose tracer this is."""

    tracer: Tracer
    sampled: Callable[[int], bool] = lambda _: True
    """Whether a trace with this id is kept, where no message has said so yet."""
    force: Callable[[SpanContext | None], None] | None = None
    """Has the spans of this task take these ids, until called with None; without it the tracer chooses ids itself."""

    def parent(self, traceparent: str | None, conversation_id: str) -> SpanContext:
        """Return what a message's spans continue: its own context, or the root of its conversation."""
        if traceparent is not None:
            return trace_context.parse(traceparent)
        return self.root(conversation_id)

    def root(self, conversation_id: str) -> SpanContext:
        """Return the context of a conversation's root span."""
        context = trace_context.root(conversation_id, sampled=False)
        return trace_context.root(conversation_id, sampled=self.sampled(context.trace_id))

    def creation(self, writer: SpanContext, message_id: str) -> SpanContext:
        """Return the context that a message carries, from that of the span which writes it."""
        return writer if self.force is None else trace_context.hop(writer, message_id)

    def writer(self, creation: SpanContext, message_id: str) -> SpanContext:
        """Return the context of the span that wrote a message, from the one that it carries."""
        return creation if self.force is None else trace_context.hop(creation, message_id)

    def start(
        self,
        name: str,
        *,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: Mapping[str, AttributeValue],
        at: datetime,
        own: SpanContext | None = None,
    ) -> Span:
        """Start a span at a moment; `own` are the ids that it must have, where they can be given."""
        context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent))
        if own is None or self.force is None:
            return self.tracer.start_span(name, context=context, kind=kind, attributes=attributes, start_time=nanos(at))
        self.force(own)
        try:
            return self.tracer.start_span(name, context=context, kind=kind, attributes=attributes, start_time=nanos(at))
        finally:
            self.force(None)

    def end(self, span: Span, *, at: datetime, error: BaseException | None) -> None:
        """End a span; an error is told by its kind, and by its text where that is one of ours, which hold no secret."""
        if error is not None and span.is_recording():
            span.set_attribute("error.type", describe(error))
            text = str(error)[:_LONGEST] if isinstance(error, InterlockError) else None
            span.set_status(Status(StatusCode.ERROR, text))
        span.end(nanos(at))


def describe(error: BaseException) -> str:
    """Return the kind of an error, as `error.type`."""
    return type(error).__qualname__


def nanos(moment: datetime) -> int:
    """Return nanoseconds since 1970, exact to the microsecond."""
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
