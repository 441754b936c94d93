"""Spans that OpenTelemetry's SDK hears of once they have ended, which costs it a third; it exports nothing itself.

While the work runs, a small span of ours is the current one; it takes attributes, events, links and a status as the
SDK's does. At the end a `ReadableSpan` of it goes to the processor's `on_end`. What a processor would do in `on_start`
and a sampler other than the parent's word do not take part: `telemetry.spans = "sdk"` has them.
"""

from __future__ import annotations

__all__ = ["LateSpan", "LateSpans"]

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import TYPE_CHECKING, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue

from interlock.bus.clock import Clock
from interlock.bus.tracing import nanos

if TYPE_CHECKING:  # younger than the oldest OpenTelemetry that we run with
    from opentelemetry.util.types import AnyValue

_log = logging.getLogger(__name__)

_PLAIN = (str, int, float)
"""Kinds of values that can be taken as they are; `bool` is an `int`."""
_SAMPLED = TraceFlags.SAMPLED
_KNOWN = 3
"""Flags that https://www.w3.org/TR/trace-context-2/ defines; others are not handed on."""
_UNSET = Status(StatusCode.UNSET)
_FEW = 32
"""Attributes that we set ourselves, at most; with fewer allowed, each is counted."""


class LateSpans:
    """Starts spans of one agent, in the form that `interlock.bus.tracing` asks."""

    def __init__(
        self,
        processor: SpanProcessor,
        *,
        resource: Resource,
        scope: str,
        clock: Clock,
        limits: SpanLimits | None = None,
        ids: IdGenerator | None = None,
    ) -> None:
        """`scope` is who measures; `limits` are those of `OTEL_SPAN_*` and `OTEL_ATTRIBUTE_*` where none are given."""
        self.processor = processor
        self.resource = resource
        self.scope = InstrumentationScope(scope, "")
        self.clock = clock
        self.limits = limits or SpanLimits()
        self.most_attributes = (
            sys.maxsize if self.limits.max_span_attributes is None else self.limits.max_span_attributes
        )
        self.checks_all = self.limits.max_span_attribute_length is not None or self.most_attributes < _FEW
        self._new_id = (ids or RandomIdGenerator()).generate_span_id

    def __repr__(self) -> str:
        return f"LateSpans({self.processor!r})"

    @property
    def takes_ids(self) -> bool:
        """They are given as they are."""
        return True

    def records(self, context: SpanContext) -> bool:
        """Only what is sampled."""
        return bool(context.trace_flags & _SAMPLED)

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        attributes: dict[str, AttributeValue],
        at: datetime,
        own: SpanContext | None,
    ) -> Span:
        """Start a span; without a parent it must have ids of its own.

        What is not sampled is its parent over again: whoever continues it is not sampled either.
        """
        ids = parent if own is None else own
        assert ids is not None, "every span of ours is in a conversation"
        flags = ids.trace_flags
        if not flags & _SAMPLED:
            return NonRecordingSpan(ids)
        if flags > _KNOWN:
            flags = TraceFlags(flags & _KNOWN)
        span_id = self._new_id() if own is None else own.span_id
        context = SpanContext(ids.trace_id, span_id, False, flags, ids.trace_state)
        return LateSpan(self, name, context, parent, kind, attributes, nanos(at))

    def bounded(self, attributes: Attributes, *, most: int | None) -> BoundedAttributes:
        """Return attributes as the SDK keeps those of events and links: checked, cut, and not to be changed."""
        return BoundedAttributes(most, attributes, max_value_len=self.limits.max_attribute_length)


class LateSpan(Span):
    """What a handler finds as the current span."""

    __slots__ = (
        "_attributes",
        "_context",
        "_ended",
        "_events",
        "_kind",
        "_links",
        "_name",
        "_parent",
        "_spans",
        "_start",
        "_status",
    )

    def __init__(
        self,
        spans: LateSpans,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        attributes: dict[str, AttributeValue],
        start: int,
    ) -> None:
        self._spans = spans
        self._name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._start = start
        self._attributes: MutableMapping[str, AnyValue] = cast("MutableMapping[str, AnyValue]", attributes)
        self._events: BoundedList[Event] | None = None
        self._links: BoundedList[Link] | None = None
        self._status = _UNSET
        self._ended = False
        if spans.checks_all:
            self._attributes = self._checked()

    def __repr__(self) -> str:
        return f"LateSpan({self._name!r}, {self._context!r})"

    def get_span_context(self) -> SpanContext:
        """Return the ids."""
        return self._context

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return not self._ended

    def set_attribute(self, key: str, value: AnyValue) -> None:
        """Take an attribute; those of ours are known to be in order, what else comes is checked as the SDK does."""
        if not self._is_open("an attribute"):
            return
        attributes = self._attributes
        if type(attributes) is dict and not (
            isinstance(value, _PLAIN) and key and len(attributes) < self._spans.most_attributes
        ):
            attributes = self._attributes = self._checked()
        attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        """Take several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Take an event; without a moment it is now."""
        if self._is_open("an event"):
            spans = self._spans
            bounded = spans.bounded(attributes, most=spans.limits.max_event_attributes)
            moment = nanos(spans.clock.now()) if timestamp is None else timestamp
            if self._events is None:
                self._events = BoundedList(spans.limits.max_events)
            self._events.append(Event(name, bounded, moment))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Take a link; one that leads nowhere and says nothing is left out."""
        if (context.is_valid or attributes or context.trace_state) and self._is_open("a link"):
            spans = self._spans
            bounded = spans.bounded(attributes, most=spans.limits.max_link_attributes)
            if self._links is None:
                self._links = BoundedList(spans.limits.max_links)
            self._links.append(Link(context, bounded))

    def update_name(self, name: str) -> None:
        """Take another name."""
        if self._is_open("a name"):
            self._name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Take a status; OK is final, and UNSET changes nothing."""
        if not self._is_open("a status"):
            return
        taken = Status(status, description) if isinstance(status, StatusCode) else status
        if self._status.status_code is not StatusCode.OK and taken.status_code is not StatusCode.UNSET:
            self._status = taken

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Take an exception as an event, under the names of the conventions; its text is told as it is."""
        kind = type(exception)
        told: dict[str, object] = {
            "exception.type": (
                kind.__qualname__ if kind.__module__ in {"builtins", ""} else f"{kind.__module__}.{kind.__qualname__}"
            ),
            "exception.message": str(exception),
            "exception.stacktrace": "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
            **(attributes or {}),
        }
        self.add_event("exception", cast("Attributes", told), timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Hand it over; a second time nothing happens."""
        if self._ended:
            return
        self._ended = True
        spans = self._spans
        spans.processor.on_end(
            ReadableSpan(
                name=self._name,
                context=self._context,
                parent=self._parent,
                resource=spans.resource,
                attributes=self._attributes,
                events=self._events or (),
                links=self._links or (),
                kind=self._kind,
                status=self._status,
                start_time=self._start,
                end_time=nanos(spans.clock.now()) if end_time is None else end_time,
                instrumentation_scope=spans.scope,
            )
        )

    def _is_open(self, what: str) -> bool:
        if self._ended:
            _log.warning("the span %r has ended: it does not take %s any more", self._name, what)
        return not self._ended

    def _checked(self) -> BoundedAttributes:
        limits = self._spans.limits
        return BoundedAttributes(
            limits.max_span_attributes,
            self._attributes,
            immutable=False,
            max_value_len=limits.max_span_attribute_length,
        )
