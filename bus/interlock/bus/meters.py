"""The instruments that the bus is measured with, by OpenTelemetry's messaging conventions; it decides nothing.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/ for those that begin with `messaging.`.
"""

from __future__ import annotations

__all__ = ["Gauges", "Meters"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from interlock.bus.clock import Clock
from interlock.bus.durations import BOUNDS, Counts, Durations


@dataclass(frozen=True, slots=True)
class Gauges:
    """How things stood when somebody last looked."""

    known: bool = False
    """Whether the store could be asked; if not, what it would have said is shown by no gauge."""
    ready: int = 0
    leased: int = 0
    dead: int = 0
    unsent: int = 0
    oldest_unsent: float = 0.0
    """Seconds since the oldest message that is due was written; 0 when none waits."""
    reconnects: int = 0
    """Since the start."""
    connected: bool = False
    consuming: bool = False
    workflows: Mapping[str, int] = field(default_factory=dict[str, int])
    """Open ones by status."""


class Meters:
    """One agent's instruments. Observable ones show `gauges`, which whoever collects brings up to date before."""

    def __init__(self, meter: Meter, *, system: str, clock: Clock) -> None:
        self._system = system
        self.gauges = Gauges()
        self._seen_statuses: set[str] = set()
        self._sent = Counts(fixed=_operation(system, "send"))
        self._consumed = Counts(fixed=_operation(system, "receive"))
        self._publishes = Durations(
            "messaging.client.operation.duration",
            "From publishing to the broker's confirm.",
            fixed=_operation(system, "send"),
            clock=clock,
        )
        self._attempts = Durations(
            "messaging.process.duration",
            "One attempt at a message, from its claim to its commit.",
            fixed=_operation(system, "process"),
            clock=clock,
        )
        for name, counts, description in (
            ("messaging.client.sent.messages", self._sent, "Messages that a publish was attempted for."),
            ("messaging.client.consumed.messages", self._consumed, "Messages that were delivered."),
        ):
            meter.create_observable_counter(name, [_observed(counts)], unit="{message}", description=description)
        self._calls = meter.create_histogram(
            "interlock.outside.duration",
            unit="s",
            description="One call of an outside system.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        counter = meter.create_counter
        self._retries = counter("interlock.retries", unit="{attempt}", description="Attempts that are to be repeated.")
        self._deaths = counter("interlock.deaths", unit="{message}", description="Messages that were given up.")
        self._rejections = counter("interlock.rejections", unit="{message}", description="Parked, by reason code.")
        self._losses = counter("interlock.lease.losses", unit="{lease}", description="Leases lost at work.")
        self._pauses = counter("interlock.relay.pauses", unit="{pause}", description="Outages that paused the relay.")
        for never_yet in (self._losses, self._pauses):
            never_yet.add(0)  # so that there is something to compare the first one with
        meter.create_observable_counter(
            "interlock.broker.reconnects",
            [self._reconnects],
            unit="{connection}",
            description="Connections made anew after a loss.",
        )
        gauge = meter.create_observable_gauge
        gauge("interlock.inbox.messages", [self._inbox], unit="{message}", description="The inbox by state.")
        gauge("interlock.outbox.unsent", [self._unsent], unit="{message}", description="Not confirmed yet.")
        gauge("interlock.outbox.oldest.age", [self._oldest], unit="s", description="Of the oldest that is due.")
        gauge("interlock.workflows", [self._workflows], unit="{workflow}", description="Open ones by status.")
        gauge("interlock.broker.connected", [self._connected], unit="1", description="1 while connected.")
        gauge("interlock.broker.consuming", [self._consuming], unit="1", description="1 while subscribed.")

    def __repr__(self) -> str:
        return f"Meters(system={self._system!r}, gauges={self.gauges!r})"

    @property
    def durations(self) -> Sequence[Durations]:
        """What is counted here, since every message is; whoever collects adds it."""
        return self._publishes, self._attempts

    def sent(self, type: str, seconds: float, error: str | None) -> None:  # noqa: A002 - the wire's word
        """Count one publish, and how long its confirm took."""
        self._sent.add(type, error)
        self._publishes.record(type, seconds, error)

    def consumed(self, type: str, error: str | None) -> None:  # noqa: A002 - the wire's word
        """Count one delivery."""
        self._consumed.add(type, error)

    def processed(self, type: str, seconds: float, error: str | None) -> None:  # noqa: A002 - the wire's word
        """Count one attempt at a message, and how long it took."""
        self._attempts.record(type, seconds, error)

    def called(self, system: str, operation: str, seconds: float, error: str | None) -> None:
        """Count one call of an outside system, and how long it took."""
        attributes = {"interlock.outside.system": system, "interlock.outside.operation": operation}
        self._calls.record(seconds, attributes | ({"error.type": error} if error else {}))

    def retried(self, type: str) -> None:  # noqa: A002 - the wire's word
        """Count an attempt that is to be repeated."""
        self._retries.add(1, {"interlock.message.type": type})

    def died(self, type: str) -> None:  # noqa: A002 - the wire's word
        """Count a message that was given up."""
        self._deaths.add(1, {"interlock.message.type": type})

    def rejected(self, code: str) -> None:
        """Count a delivery that was parked."""
        self._rejections.add(1, {"interlock.rejection.code": code})

    def lease_lost(self) -> None:
        """Count a lease that was lost at work."""
        self._losses.add(1)

    def relay_paused(self) -> None:
        """Count an outage that paused the relay."""
        self._pauses.add(1)

    def _inbox(self, _: CallbackOptions) -> Iterable[Observation]:
        for state in ("ready", "leased", "dead") if self.gauges.known else ():
            yield Observation(getattr(self.gauges, state), {"interlock.inbox.state": state})

    def _unsent(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.gauges.known:
            yield Observation(self.gauges.unsent)

    def _oldest(self, _: CallbackOptions) -> Iterable[Observation]:
        if self.gauges.known:
            yield Observation(self.gauges.oldest_unsent)

    def _workflows(self, _: CallbackOptions) -> Iterable[Observation]:
        # A status that emptied is shown as 0, not left at its last number.
        self._seen_statuses.update(self.gauges.workflows)
        for status in sorted(self._seen_statuses):
            yield Observation(self.gauges.workflows.get(status, 0), {"interlock.workflow.status": status})

    def _reconnects(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(self.gauges.reconnects)

    def _connected(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(int(self.gauges.connected))

    def _consuming(self, _: CallbackOptions) -> Iterable[Observation]:
        yield Observation(int(self.gauges.consuming))


def _operation(system: str, name: str) -> Mapping[str, str]:
    return {"messaging.system": system, "messaging.operation.name": name, "messaging.operation.type": name}


def _observed(counts: Counts) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(number, attributes) for number, attributes in counts.read()]

    return observe
