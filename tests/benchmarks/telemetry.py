"""What telemetry costs, in microseconds of CPU time per message; every kind of it takes its turn in every round.

Run it with `python tests/benchmarks/telemetry.py [--rounds N] [--json]`. Three things are measured:

- calls: what a message and its answer have called of telemetry, alone; the fastest of many turns, so that it is what is
  left when nobody else has the processor
- consume: the memory bus hands over a message, it is checked, one span is around its (empty) handler, it is settled
- agent: one agent's whole path, from delivery through inbox, handler and outbox to the answer: three spans

Spans go to a batch processor whose exporter throws them away, but for the two kinds that say otherwise.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
import timeit
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import anyio
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanContext

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.agents.telemetry.batching import batched
from interlock.agents.telemetry.late_spans import LateSpans
from interlock.agents.telemetry.measurements import Histograms, ScrapedMeasurements
from interlock.agents.telemetry.trace_file import TraceFileWriter, to_line
from interlock.bus.acceptance import accept
from interlock.bus.clock import SystemClock
from interlock.bus.memory import MemoryBroker, MemoryTransport
from interlock.bus.meters import Meters
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.subject import about
from interlock.bus.telemetry import OFF, Telemetry, current
from interlock.bus.tracing import TracerSpans, Tracing
from interlock.bus.transport import AgentQueue, Delivery, Outgoing, Topology
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import ANY, Event, Message, Route
from interlock.protocol.values import ShortText

AGENT, PEER = "library-agent", "reader-agent"
CONSUMED, ANSWERED, CONVERSATIONS = 2000, 400, 100
CLOCK = SystemClock()

_chosen: ContextVar[SpanContext | None] = ContextVar("chosen", default=None)


class Ping(Event, type="ping", route=Route.of(ANY, ANY)):
    """What is sent there."""

    text: ShortText


class Pong(Event, type="pong", route=Route.of(ANY, ANY)):
    """What comes back."""

    text: ShortText


class Exporter(SpanExporter):
    """Throws spans away, once they were made what is sent or written."""

    def __init__(self, encode: Callable[[Sequence[ReadableSpan]], object] = lambda _: None) -> None:
        self._encode = encode

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._encode(spans)
        return SpanExportResult.SUCCESS


@dataclass(frozen=True)
class Kind:
    """One kind of telemetry."""

    name: str
    telemetry: Telemetry = OFF
    flags: str = "01"
    """What the peer's trace says about being sampled."""

    def traceparent(self) -> str:
        return f"00-{new_id().replace('-', '')}-00f067aa0ba902b7-{self.flags}"


def kinds(folder: Path) -> tuple[Kind, ...]:
    resource = Resource.create({"service.name": AGENT})

    def late(processor: SpanProcessor) -> Telemetry:
        spans = LateSpans(processor, resource=resource, scope="interlock", clock=CLOCK)
        return Telemetry(AGENT, clock=CLOCK, system="memory", tracing=Tracing(spans))

    def sdk() -> Telemetry:
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(batched(Exporter()))
        spans = TracerSpans(provider.get_tracer("interlock"), force=_chosen.set)
        return Telemetry(AGENT, clock=CLOCK, system="memory", tracing=Tracing(spans))

    reader = ScrapedMeasurements()
    meter = MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("interlock")
    meters = Meters(meter, system="memory", clock=CLOCK)
    reader.histograms = Histograms(meters.durations, clock=CLOCK)
    file = TraceFileWriter(folder / "trace.jsonl")
    return (
        Kind("none"),
        # Twice the same, so that it can be seen what a difference of nothing looks like.
        Kind("none again"),
        Kind("late, recorded", late(batched(Exporter()))),
        Kind("late, sampled out", late(batched(Exporter())), flags="00"),
        Kind("SDK, recorded", sdk()),
        Kind("SDK, sampled out", sdk(), flags="00"),
        Kind("metrics only", Telemetry(AGENT, clock=CLOCK, system="memory", meters=meters)),
        Kind("late, OTLP", late(batched(Exporter(lambda spans: encode_spans(spans).SerializeToString())))),
        Kind("late, file", late(SimpleSpanProcessor(Exporter(lambda spans: file.write(map(to_line, spans)))))),
    )


def calls(kind: Kind) -> dict[str, float]:
    """Return what one message and its answer cost by the calls of telemetry alone, by what is called."""
    telemetry = kind.telemetry
    envelope = cast("Envelope[Message]", _ping(kind))
    outgoing, delivery = Outgoing.of(envelope), cast("Delivery", _Arrived())

    def receive() -> None:
        with telemetry.receiving(delivery) as receiving:
            receiving.concerns(envelope)
            receiving.note("interlock.receipt", "new")

    def process() -> None:
        with telemetry.processing(envelope, attempt=1):
            pass

    def write() -> None:
        current().traceparent(envelope.id, envelope.traceparent)

    def send() -> None:
        with telemetry.sending(outgoing, attempt=1):
            pass

    def know() -> None:
        with about(AGENT, envelope.conversation_id, envelope.id, envelope.type):
            pass

    found = {call.__name__: _fastest(call) for call in (receive, process, send)}
    with telemetry.processing(envelope, attempt=1):
        found["write"] = _fastest(write)
    found["know"] = 3 * _fastest(know)
    return {**found, "all": sum(found.values())}


@dataclass
class _Arrived:
    body: bytes = b"x" * 600
    attempt: int = 1


def _fastest(call: Callable[[], None]) -> float:
    return min(timeit.repeat(call, number=1000, repeat=40)) / 1000 * 1e6


def _ping(kind: Kind, conversation: str | None = None) -> Envelope[Ping]:
    return Envelope.wrap(
        Ping(text="hello"),
        sender=PEER,
        receiver=AGENT,
        sent_at=CLOCK.now(),
        conversation_id=conversation or new_id(),
        traceparent=kind.traceparent(),
    )


async def consume(kind: Kind) -> float:
    """Return the CPU time of a message that is only consumed."""
    catalogue, broker = CATALOGUE.with_messages(Ping, Pong), MemoryBroker()
    broker.declare(Topology((AgentQueue(PEER), AgentQueue(AGENT))))
    peer, consumer, telemetry = broker.connect(PEER), broker.connect(AGENT), kind.telemetry
    for _ in range(CONSUMED):
        await peer.publish(Outgoing.of(_ping(kind)))
    async with consumer.consume(prefetch=100) as deliveries:
        began = time.process_time()
        for _ in range(CONSUMED):
            delivery = await anext(deliveries)
            with telemetry.processing(accept(delivery, catalogue=catalogue), attempt=1):
                pass
            await delivery.ack()
        return (time.process_time() - began) / CONSUMED * 1e6


@asynccontextmanager
async def agent_of(kind: Kind, folder: Path) -> AsyncGenerator[Callable[[], Awaitable[float]]]:
    """Run an agent; yields what has it answer some messages, and returns the CPU time of one."""
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue(PEER), AgentQueue(AGENT))))
    agent = Agent(AGENT, catalogue=CATALOGUE.with_messages(Ping, Pong))

    @agent.on
    async def answer(message: Ping, _: Context) -> Pong:
        return Pong(text=message.text)

    async with AsyncExitStack() as stack:
        await anyio.Path(folder).mkdir()
        store = await SqliteStore.open(folder / "agent.sqlite", agent=AGENT, clock=CLOCK)
        stack.push_async_callback(store.aclose)
        runtime = Runtime(
            agent,
            transport=broker.connect(AGENT),
            store=store,
            clock=CLOCK,
            settings=RuntimeSettings(heartbeat=3600),
            telemetry=kind.telemetry,
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        ready = anyio.Event()
        tasks.start_soon(partial(runtime.run, ready=ready))
        await ready.wait()
        peer = broker.connect(PEER)

        async def exchange() -> float:
            began = time.process_time()
            await _exchange(peer, kind)
            return (time.process_time() - began) / ANSWERED * 1e6

        yield exchange
        runtime.stop()


async def _exchange(peer: MemoryTransport, kind: Kind) -> None:
    conversations = [new_id() for _ in range(CONVERSATIONS)]
    async with peer.consume(prefetch=1000) as deliveries, anyio.create_task_group() as tasks:

        async def ask() -> None:
            for number in range(ANSWERED):
                await peer.publish(Outgoing.of(_ping(kind, conversations[number % CONVERSATIONS])))

        tasks.start_soon(ask)
        for _ in range(ANSWERED):
            await (await anext(deliveries)).ack()


async def measure(rounds: int, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return what each kind took in each round, by work; the agents are not there yet while it is only consumed."""
    every = kinds(folder)
    consumed = await _in_turns({kind.name: partial(consume, kind) for kind in every}, rounds)
    async with AsyncExitStack() as stack:
        exchanges = {
            kind.name: await stack.enter_async_context(agent_of(kind, folder / str(number)))
            for number, kind in enumerate(every)
        }
        return {"consume": consumed, "agent": await _in_turns(exchanges, rounds)}


async def _in_turns(works: Mapping[str, Callable[[], Awaitable[float]]], rounds: int) -> dict[str, list[float]]:
    """Run each in every round, in the opposite order every other time; one round before them warms up."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name in works if number % 2 else reversed([*works]):
            gc.collect()
            taken = await works[name]()
            if number:
                found[name].append(taken)
    return found


def summary(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """Return medians, and the medians of what the rounds of each kind took more than those of `none`."""
    none = taken["none"]
    found: dict[str, dict[str, float]] = {}
    for kind, rounds in taken.items():
        more = sorted(one - other for one, other in zip(rounds, none, strict=True))
        quarter = len(more) // 4
        found[kind] = {
            "median": statistics.median(rounds),
            "more": statistics.median(more),
            "from": more[quarter],
            "to": more[-1 - quarter],
        }
    return found


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What telemetry costs.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        alone = {kind.name: calls(kind) for kind in kinds(folder) if kind.name != "none again"}
        taken = anyio.run(measure, given.rounds, folder)
    told = {work: summary(rounds) for work, rounds in taken.items()}
    if given.json:
        print(json.dumps({"unit": "microseconds of CPU per message", "calls": alone, **told}, indent=2))
        return
    print(f"{'calls':<18}" + "".join(f"{call:>9}" for call in alone["none"]))
    for kind, costs in alone.items():
        print(f"{kind:<18}" + "".join(f"{cost:9.2f}" for cost in costs.values()))
    for work, rows in told.items():
        print(f"\n{work:<18}   median     more   (middle half)")
        for kind, row in rows.items():
            print(f"{kind:<18}{row['median']:9.1f}{row['more']:+9.1f}   ({row['from']:+.1f} to {row['to']:+.1f})")


if __name__ == "__main__":
    main()
