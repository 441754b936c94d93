"""Where a span stands in a trace, computed from ids alone, so that nothing has to be stored; it creates no span.

One conversation is one trace. Its trace id is the conversation's own UUID, its root span's id the first half of it:
a timer that fires after a restart, or a message that came without trace context, still finds its parent.
"""

from __future__ import annotations

__all__ = ["hop", "parse", "render", "root"]

from opentelemetry.trace import SpanContext, TraceFlags

_FLAGS = tuple(TraceFlags(octet) for octet in range(256))
"""Made once: two are met all the time."""


def parse(traceparent: str) -> SpanContext:
    """Return the context in a `traceparent` of W3C Trace Context, level 1, whose form was checked before."""
    return SpanContext(
        int(traceparent[3:35], 16), int(traceparent[36:52], 16), True, _FLAGS[int(traceparent[53:55], 16)]
    )


def render(context: SpanContext) -> str:
    """Return a context as a `traceparent`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def root(conversation_id: str, *, sampled: bool) -> SpanContext:
    """Return the context of a conversation's root span."""
    digits = conversation_id.replace("-", "")
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(int(digits, 16), int(digits[:16], 16), True, flags)


def hop(context: SpanContext, message_id: str) -> SpanContext:
    """Return the context of the span that sends a message, from that of the span which wrote it, and the reverse.

    Both are exclusive-or'ed with the second half of the message's UUID. So the envelope can carry the context of its
    sending before that has happened, and the relay, which may do so after a restart, knows which span wrote it.
    """
    return SpanContext(
        context.trace_id,
        context.span_id ^ int(message_id[19:23] + message_id[24:], 16),
        True,
        context.trace_flags,
    )
