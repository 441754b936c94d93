"""One demonstration over a private broker in which processes are killed, watched from outside."""

from __future__ import annotations

__all__ = ["Flow", "Hit", "Outcome", "coordinators_store"]

import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import Process

from faults.cluster import NODES, nodes_by_role
from faults.killing import BROKER, STATES, Kill, strike
from interlock.agents.demo.cast import replicas_of
from interlock.agents.sandbox.journal import Journal
from interlock.agents.sandbox.sandbox import JOURNAL
from interlock.bus.store.opening import open_reader
from interlock.protocol.errors import InterlockError
from interlock.protocol.roles import COORDINATOR, DEVOPS, TEAM

_LOOK = 0.02
"""Seconds between two looks."""
_WRITE_LOOK = 0.001
"""The same, where milliseconds count."""
_DECLARED = 2.0
"""Seconds for which a broker that has just declared its queues is left alone: see docs/faults.md."""
_BROKER_READY = b"Server startup complete"
_AGENT_READY = b"taking messages"
_ORDER = list(STATES)


@dataclass(slots=True)
class Hit:
    """One kill that met a living process while the change was under way."""

    kill: Kill
    pid: int
    state: str
    """The change's, at that moment, or the write that had just been made."""
    recovery: float | None = None
    """Seconds until the successor takes messages again, or, for a node of a cluster, until the change comes further.
    None when the flow ended before."""
    node: str | None = None
    """Which node of a cluster it was."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a flow came to."""

    exit_code: int | None
    """None when it had to be ended."""
    hits: tuple[Hit, ...]
    seconds: float
    folder: Path
    workflows: int
    """Rows in the coordinator's store, as last seen."""

    @property
    def report(self) -> Path:
        """The report, as JSON."""
        return self.folder / "report" / "report.json"

    @property
    def work(self) -> Path:
        """Stores, logs, and the sandbox's journal."""
        return self.folder / "work"


class Flow:
    """`await Flow(folder, kills).play(deadline=…)`; the kills come one after the other."""

    def __init__(
        self,
        folder: Path,
        kills: Sequence[Kill],
        *,
        broker: str = "private",
        at_writes: bool = False,
        replicas: int = 1,
    ) -> None:
        """With `broker="cluster"` a kill may name a node by its role: see `nodes_by_role`.

        `at_writes` kills the devops agent, who alone changes the outside world, right after each change as well. More
        than one of `replicas` share their stores in PostgreSQL.
        """
        self._replicas = replicas
        self._folder = folder
        self._kills = kills
        self._broker = broker
        self._roles: Mapping[str, str] = {}
        self._at_writes = at_writes
        self._hits: list[Hit] = []
        self._furthest = 0
        self._workflows = 0
        self._state = _ORDER[0]

    async def play(self, *, deadline: float) -> Outcome:
        """Run the demonstration to its end, or for `deadline` seconds; nothing of it survives."""
        started = anyio.current_time()
        await anyio.Path(self._folder).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "interlock.agents.cli", "demo", "--broker", self._broker, "--json"]
        command += ["--work", str(self._folder / "work"), "--report", str(self._folder / "report")]
        if self._replicas > 1:
            command += ["--store", "postgres", "--replicas", str(self._replicas)]
        with (self._folder / "out.json").open("wb") as out, (self._folder / "narration.txt").open("wb") as narration:
            process = await anyio.open_process(command, stdin=None, stdout=out, stderr=narration)
        try:
            with anyio.move_on_after(deadline):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._kill_all, process)
                    tasks.start_soon(self._follow)
                    if self._at_writes:
                        tasks.start_soon(self._kill_at_writes, process)
                    await process.wait()
                    tasks.cancel_scope.cancel()
        finally:
            exit_code = process.returncode
            with anyio.CancelScope(shield=True):
                await _end(process)
        return Outcome(
            exit_code, tuple(self._hits), anyio.current_time() - started, self._folder, workflows=self._workflows
        )

    async def _kill_all(self, process: Process) -> None:
        brokers = {BROKER} if self._broker == "private" else set(NODES)
        await _until(lambda: {*replicas_of(TEAM, self._replicas), *brokers} <= self._processes().keys())
        await anyio.sleep(_DECLARED)
        if self._broker == "cluster":
            self._roles = await nodes_by_role(self._folder / "work" / "broker")
        async with anyio.create_task_group() as recoveries:
            for kill in self._kills:
                await _until(partial(self._has_come_to, kill.state))
                await anyio.sleep(kill.delay)
                hit = await self._kill(kill, process)
                if hit.state not in STATES:
                    return  # the change has ended: killing is easy now
                self._hits.append(hit)
                recoveries.start_soon(self._time_recovery, hit, self._lives(kill.target))

    async def _follow(self) -> None:
        """Count workflows until the end: a private PostgreSQL cannot be asked afterwards."""
        while True:
            self._progress()
            await anyio.sleep(_LOOK * 10)

    async def _kill_at_writes(self, process: Process) -> None:
        """Hit between an effect and its being noted: milliseconds that a random moment hardly ever meets."""
        journal = self._folder / "work" / "sandbox" / JOURNAL
        await _until(journal.exists)
        seen = len(Journal.read(journal)) or 1  # the ticket itself
        async with anyio.create_task_group() as recoveries:
            while True:
                await _until(partial(_longer, journal, seen), every=_WRITE_LOOK)
                pid = self._processes()[DEVOPS]
                written = Journal.read(journal)
                if strike(pid, parent=process.pid):
                    self._progress()
                    last = written[-1]
                    hit = Hit(Kill(DEVOPS, self._state, 0.0), pid, f"after {last.system} {last.action}")
                    self._hits.append(hit)
                    recoveries.start_soon(self._time_recovery, hit, self._lives(DEVOPS))
                seen = len(written)

    async def _kill(self, kill: Kill, process: Process) -> Hit:
        while True:
            target = self._roles.get(kill.target, kill.target)
            pid = self._processes()[target]
            if strike(pid, parent=process.pid):
                self._progress()
                return Hit(kill, pid, self._state, node=target if kill.target in self._roles else None)
            await anyio.sleep(_LOOK)

    async def _time_recovery(self, hit: Hit, lives: int) -> None:
        started = anyio.current_time()
        await _until(lambda: self._lives(hit.kill.target) != lives)
        hit.recovery = anyio.current_time() - started

    def _has_come_to(self, state: str) -> bool:
        return self._progress() >= _ORDER.index(state)

    def _lives(self, target: str) -> int:
        """Return how often this target has said so far, in its own log, that it is at work."""
        work = self._folder / "work"
        if target in self._roles:
            return self._progress()
        if target == BROKER:
            return (work / "broker" / "console.log").read_bytes().count(_BROKER_READY)
        return (work / f"{target}.log").read_bytes().count(_AGENT_READY)

    def _processes(self) -> dict[str, int]:
        file = self._folder / "work" / "processes.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def _progress(self) -> int:
        """Return how far the change has ever come: a new plan sends it back."""
        try:
            with open_reader(coordinators_store(self._folder / "work"), agent=COORDINATOR) as reader:
                rows = reader.workflows()
        except (InterlockError, OSError, KeyError):
            return self._furthest  # not there yet, or in mid-recovery
        self._workflows = len(rows)
        if rows:
            self._state = rows[0].status
            self._furthest = max(self._furthest, _position(self._state))
        return self._furthest


def coordinators_store(work: Path) -> str:
    """Return the address that the agents of a demonstration were given."""
    told = tomllib.loads((work / "interlock.toml").read_text(encoding="utf-8"))
    return str(told.get("store_url") or work / "state" / f"{COORDINATOR}.sqlite")


def _longer(journal: Path, known: int) -> bool:
    return len(Journal.read(journal)) > known


def _position(state: str) -> int:
    return _ORDER.index(state) if state in STATES else 0


async def _until(holds: Callable[[], bool], *, every: float = _LOOK) -> None:
    """Look until something holds outside of this process, where no event tells; `play` has the deadline."""
    while not holds():  # noqa: ASYNC110 - there is nothing to wait for but time
        await anyio.sleep(every)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(30):
            await process.wait()
    if process.returncode is None:
        process.kill()
    await process.wait()
    await process.aclose()
