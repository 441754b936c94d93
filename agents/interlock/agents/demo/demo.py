"""One ticket through the whole team, from an empty directory to a report."""

from __future__ import annotations

__all__ = ["Demo", "DemoResult"]

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Any

import anyio

from interlock.agents.demo.console import Console
from interlock.agents.demo.people import People
from interlock.agents.demo.record import gather
from interlock.agents.demo.stage import MemoryStage, RabbitStage, Stage, StoreKind
from interlock.agents.demo.world import World
from interlock.agents.report.folder import ReportFiles, write
from interlock.agents.report.narration import Narrator
from interlock.agents.report.report import Broker, Report, Run
from interlock.agents.report.timeline import states_entered
from interlock.agents.telemetry.opening import open_telemetry
from interlock.bus.clock import Clock
from interlock.bus.private_broker import find_server
from interlock.bus.private_postgres import find_postgres
from interlock.bus.store.opening import open_reader
from interlock.protocol.errors import InterlockError, TransientError, UsageError
from interlock.protocol.ids import conversation_of
from interlock.protocol.roles import CONSOLE, COORDINATOR

_LOOK = 0.1
"""Seconds between two looks at the coordinator's states."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """How it ended, and where that is written down."""

    report: Report
    files: ReportFiles


class Demo:
    """A demonstration. Nothing that it starts survives it."""

    def __init__(
        self,
        ticket: Path,
        *,
        issue: str,
        broker: str,
        people: People,
        directory: Path,
        report: Path,
        narrator: Narrator,
        clock: Clock,
        trace: Path | None = None,
        deadline: float = 900.0,
        store: StoreKind = "sqlite",
        replicas: int = 1,
    ) -> None:
        """`broker` is `auto`, `memory`, `private`, `cluster` or an AMQP URL.

        `directory` is empty and the demonstration's own. `deadline` is in seconds, for the flow without starting and
        stopping. To `trace`, a file, all processes append their spans. More than one of `replicas` per agent need a
        `postgres` store, and a RabbitMQ.
        """
        self._ticket = ticket
        self._issue = issue
        self._broker = broker
        self._people = people
        self._directory = directory
        self._report = report
        self._narrator = narrator
        self._clock = clock
        self._trace = trace
        self._deadline = deadline
        self._store: StoreKind = store
        self._replicas = replicas

    async def run(self) -> DemoResult:
        """Play it, and write the report.

        Raises UsageError for a broker that cannot be had, TransientError when something did not start or the deadline
        passed; the report is then of what happened until then, if anything did.
        """
        started = self._clock.now()
        self._check_broker()
        self._narrator.note(f"Working in {self._directory}")
        async with AsyncExitStack() as stack:
            self._narrator.note("Starting the sandbox: AWS, Jira, Kubernetes, chat, PostgreSQL with TLS")
            world = await stack.enter_async_context(World(self._directory, tickets=(self._ticket,)))
            stage = await stack.enter_async_context(await self._stage(world))
            version = await stage.console.broker_version()
            self._narrator.note(f"The team is at work over {version}: {_processes(stage.processes)}")
            opened = await stack.enter_async_context(
                open_telemetry(
                    stage.settings.telemetry,
                    agent=CONSOLE,
                    version=distribution_version("interlock"),
                    system=stage.console.features.name,
                    clock=self._clock,
                )
            )
            console = Console(
                stage.console,
                issue=self._issue,
                people=self._people,
                clock=self._clock,
                seen=self._narrator.message,
                telemetry=opened.telemetry,
            )
            overdue = True
            with anyio.move_on_after(self._deadline):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._follow_states, stage.settings.store_address(COORDINATOR))
                    await console.run()
                    tasks.cancel_scope.cancel()
                overdue = False
            if overdue:
                self._narrator.note(f"The change did not end within {self._deadline:.0f} s")
            run = Run(
                started_at=started,
                ended_at=self._clock.now(),
                processes=dict(stage.processes),
                broker=Broker(kind=stage.kind, version=version),
                engine="aws-direct",
                sandbox=True,
                notes=_NOTES,
            )
            record = await gather(stage.settings, issue=self._issue, said=console.sent)
            report = record.report(run)
            files = await anyio.to_thread.run_sync(
                lambda: write(self._report, report, envelopes=record.envelopes, diagram=record.diagram)
            )
        self._narrator.summary(report, files)
        if overdue and not record.envelopes:
            raise TransientError(f"nothing was said within {self._deadline:.0f} s; see the logs in {self._directory}")
        return DemoResult(report, files)

    async def _follow_states(self, store: str) -> None:
        """Tell each state as the coordinator's audit trail gets it."""
        told = 0
        while True:
            await self._clock.sleep(_LOOK)
            try:
                with open_reader(store, agent=COORDINATOR) as reader:
                    entered = states_entered(reader.audit(conversation_id=conversation_of(self._issue)))
            except InterlockError:
                continue  # the coordinator has not made it yet
            for state in entered[told:]:
                self._narrator.state(state.state, at=state.at)
            told = len(entered)

    def _tracing(self) -> dict[str, Any]:
        return {} if self._trace is None else {"telemetry": {"traces": str(self._trace.resolve())}}

    def _check_broker(self) -> None:
        """Refuse a broker that cannot be had before anything is started."""
        if self._broker in {"private", "cluster"} and find_server() is None:
            raise UsageError("no rabbitmq-server is installed: install it, or use --broker memory")
        if self._broker not in _KINDS and not self._broker.startswith(("amqp://", "amqps://")):
            raise UsageError(
                "--broker is auto, memory, private, cluster, or a URL that begins with amqp:// or amqps://"
            )
        if self._replicas > 1 and self._store == "sqlite":
            raise UsageError("replicas share a store, and a file has one owner: give --store postgres with --replicas")
        if self._store == "postgres":
            find_postgres()
            if self._broker == "memory" or find_server() is None:
                raise UsageError("--store postgres is for agents that are processes: give --broker private")

    async def _stage(self, world: World) -> Stage:
        url = os.environ.get("INTERLOCK_BROKER_URL") if self._broker == "auto" else None
        if self._broker not in _KINDS:
            url = self._broker
        if url:
            self._narrator.note("Broker: the one whose URL was given")
            return self._rabbit(world, url=url)
        installed = find_server() is not None
        if self._broker == "memory" or not installed:
            self._narrator.note("Broker: in-memory, all agents in this process")
            if not installed:
                self._narrator.note("(install rabbitmq-server, and every agent is a process of its own)")
            return MemoryStage(self._directory, settings={**await world.ready(), **self._tracing()})
        nodes = _NODES if self._broker == "cluster" else 1
        if nodes > 1:
            self._narrator.note("Broker: three private RabbitMQ nodes, one process per agent (takes half a minute)")
        else:
            self._narrator.note("Broker: a private RabbitMQ, one process per agent (takes some seconds to start)")
        return self._rabbit(world, nodes=nodes)

    def _rabbit(self, world: World, *, url: str | None = None, nodes: int = 1) -> RabbitStage:
        return RabbitStage(
            self._directory,
            settings=self._tracing(),
            world=world,
            url=url,
            nodes=nodes,
            store=self._store,
            replicas=self._replicas,
        )


_KINDS = ("auto", "memory", "private", "cluster")
_NODES = 3

_NOTES = (
    "AWS, Jira, Kubernetes and chat were emulators on this machine, spoken to by the same clients as in production.",
    "Terraform's AWS provider was not run: the direct AWS engine applied the plan.",
)


def _processes(processes: Mapping[str, int]) -> str:
    pids = set(processes.values())
    if len(pids) == 1:
        return f"{len(processes)} agents in process {pids.pop()}"
    return ", ".join(f"{name} {pid}" for name, pid in processes.items())
