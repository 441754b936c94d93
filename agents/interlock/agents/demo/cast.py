"""Keeps one process per agent alive, and the private broker with them; what dies is started again."""

from __future__ import annotations

__all__ = ["Cast", "replicas_of"]

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from interlock.bus.private_broker import PrivateBroker
from interlock.bus.private_process import PrivateProcess
from interlock.protocol.errors import TransientError

_log = logging.getLogger(__name__)

_WATCH = 0.1
_MAX_RESTARTS = 100
_QUICK_DEATH = 2.0
"""Seconds; a process that lives less is started again only after a pause."""


class Cast:
    """Supervised children. Their process ids stand in `processes.json`, brought up to date at every start."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        config: Path | None,
        directory: Path,
        environment: Mapping[str, str],
        brokers: Mapping[str, PrivateBroker],
    ) -> None:
        """`names` are agents, or replicas of them as `replicas_of` calls them.

        `config` and `environment` are what each child is configured by, as this process would be here. Logs are
        written to `directory`. A broker that is alone is started again when it ends; of several, the others go on
        without it.
        """
        self._names = names
        self._config = ("--config", str(config)) if config else ()
        self._directory = directory
        self._environment = environment
        self._here = Path.cwd()
        self._brokers = brokers
        self._children: dict[str, PrivateProcess] = {}
        self._restarts = 0
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"Cast({dict(self.processes)}, restarts={self._restarts})"

    @property
    def processes(self) -> Mapping[str, int]:
        """Process id by name, at this moment."""
        return {name: child.pid for name, child in self._children.items()}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._end)
            for name in self._names:
                await self._start(name)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            for name in self._names:
                tasks.start_soon(self._watch, name)
            if len(self._brokers) == 1:
                (broker,) = self._brokers.values()
                tasks.start_soon(self._watch_broker, broker)
            stack.callback(tasks.cancel_scope.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def _start(self, name: str) -> None:
        command = [sys.executable, "-m", "interlock.agents.cli", *self._config, "run", name.partition(".")[0]]
        self._children[name] = await PrivateProcess.start(
            command,
            environment=self._environment,
            directory=self._here,
            console=self._directory / f"{name}.log",
        )
        self._publish_processes()

    async def _watch(self, name: str) -> None:
        started = anyio.current_time()
        while True:
            await anyio.sleep(_WATCH)
            child = self._children[name]
            if child.is_running:
                continue
            self._count_restart(f"{name} (process {child.pid}, exit {child.exit_code})")
            if anyio.current_time() - started < _QUICK_DEATH:
                await anyio.sleep(_QUICK_DEATH)
            started = anyio.current_time()
            await self._start(name)

    async def _watch_broker(self, broker: PrivateBroker) -> None:
        while True:
            await anyio.sleep(_WATCH)
            if not broker.is_running:
                self._count_restart("the broker")
                await broker.start()
                self._publish_processes()

    def _count_restart(self, what: str) -> None:
        self._restarts += 1
        if self._restarts > _MAX_RESTARTS:
            raise TransientError(f"{what} ended, and {_MAX_RESTARTS} restarts have not helped: see {self._directory}")
        _log.warning("%s ended unexpectedly; starting it again", what)

    def _publish_processes(self) -> None:
        processes = {**self.processes, **{name: broker.pid for name, broker in self._brokers.items()}}
        draft = self._directory / ".processes.json"
        draft.write_text(json.dumps(processes), encoding="utf-8")
        draft.replace(self._directory / "processes.json")

    async def _end(self) -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                for child in self._children.values():
                    tasks.start_soon(self._stop, child)

    @staticmethod
    async def _stop(child: PrivateProcess) -> None:
        await child.stop(timeout=10)


def replicas_of(agents: Sequence[str], replicas: int) -> tuple[str, ...]:
    """Return a name for each process: the agent's own for the first, with `.2` for the second."""
    numbers = range(2, replicas + 1)
    return (*agents, *(f"{agent}.{number}" for number in numbers for agent in agents))
