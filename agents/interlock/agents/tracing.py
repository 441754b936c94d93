"""Joins a handler's span to the trace that its message belongs to; without an SDK this costs next to nothing."""

from __future__ import annotations

__all__ = ["handling"]

from collections.abc import Generator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.propagate import extract

from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message

_tracer = trace.get_tracer("interlock")


@contextmanager
def handling(agent: str, envelope: Envelope[Message]) -> Generator[None]:
    """Run the body inside a consumer span (OpenTelemetry messaging conventions) continuing the message's trace."""
    parent = extract({"traceparent": envelope.traceparent} if envelope.traceparent else {})
    with _tracer.start_as_current_span(
        f"process {envelope.type}",
        context=parent,
        kind=trace.SpanKind.CONSUMER,
        attributes={
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.message.id": envelope.id,
            "messaging.message.conversation_id": envelope.conversation_id,
            "messaging.destination.name": agent,
        },
    ):
        yield
