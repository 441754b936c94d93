"""Where the team plays: in this process over the memory bus, or one process per agent over RabbitMQ."""

from __future__ import annotations

__all__ = ["MemoryStage", "RabbitStage", "Stage", "StoreKind"]

import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, TypeAlias
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from interlock.agents.cli.toml import render_toml
from interlock.agents.demo.cast import Cast, replicas_of
from interlock.agents.demo.sandbox_settings import SandboxSettings, environment, login
from interlock.agents.demo.world import World
from interlock.agents.permissions import allowed_rows
from interlock.agents.runtime import Runtime
from interlock.agents.settings import Settings
from interlock.agents.team import build_agents
from interlock.agents.telemetry.opening import open_telemetry
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.errors import NotPermittedError
from interlock.bus.memory import MemoryBroker
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.private_cluster import PrivateCluster
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.rabbitmq.definitions import ADMIN, definitions
from interlock.bus.rabbitmq.transport import RabbitTransport
from interlock.bus.store.moments import to_micros
from interlock.bus.store.opening import open_store
from interlock.bus.transport import AgentQueue, Topology, Transport
from interlock.protocol.errors import UsageError
from interlock.protocol.roles import ALL_ROLES, CONSOLE, TEAM

StoreKind: TypeAlias = Literal["sqlite", "postgres"]
"""A file per agent, or a PostgreSQL that its replicas share."""

_LEASE = 10.0
"""Seconds after which a killed replica's work goes on in another; shorter than usual, since people are watching."""

_TOPOLOGY = Topology(agents=tuple(AgentQueue(name) for name in ALL_ROLES))


class Stage(Protocol):
    """A team at work, as an async context manager."""

    kind: str
    """`memory`, `private`, `cluster` or `external`."""

    @property
    def console(self) -> Transport:
        """The console's connection."""
        ...

    @property
    def settings(self) -> Settings:
        """What the agents were started with."""
        ...

    @property
    def processes(self) -> Mapping[str, int]:
        """Process id by agent, at this moment."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class MemoryStage:
    """Every agent in this process."""

    kind = "memory"

    def __init__(self, directory: Path, *, settings: Mapping[str, Any], clock: Clock | None = None) -> None:
        """`clock` is the agents' time; None: the system's."""
        self.settings: Settings = SandboxSettings.load({**settings, "state_dir": directory / "state"})
        self._clock = clock or SystemClock()
        self._broker = MemoryBroker()
        self.console: Transport = self._broker.connect(CONSOLE)
        self._stack = AsyncExitStack()
        self._runtimes: list[Runtime] = []

    @property
    def processes(self) -> Mapping[str, int]:
        """All the same."""
        return dict.fromkeys(TEAM, os.getpid())

    async def __aenter__(self) -> Self:
        clock = self._clock
        self._broker.declare(_TOPOLOGY)
        await anyio.Path(self.settings.state_dir).mkdir(parents=True, exist_ok=True)
        async with AsyncExitStack() as stack:
            agents = await stack.enter_async_context(build_agents(self.settings, TEAM))
            stores = []
            for agent in agents:
                store = await open_store(self.settings.store_address(agent.name), agent=agent.name, clock=clock)
                stack.push_async_callback(store.aclose)
                stores.append(store)
            tasks = await stack.enter_async_context(anyio.create_task_group())
            for agent, store in zip(agents, stores, strict=True):
                transport = self._broker.connect(agent.name)
                opened = await stack.enter_async_context(
                    open_telemetry(
                        self.settings.telemetry,
                        agent=agent.name,
                        version=agent.version,
                        system=transport.features.name,
                        clock=clock,
                    )
                )
                runtime = Runtime(agent, transport=transport, store=store, clock=clock, telemetry=opened.telemetry)
                self._runtimes.append(runtime)
                tasks.start_soon(runtime.run)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for runtime in self._runtimes:
            runtime.stop()
        await self._stack.__aexit__(kind, error, trace)


class RabbitStage:
    """One process per agent, over a private broker of one or several nodes, or the one whose URL is given."""

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, Any],
        world: World | None = None,
        url: str | None = None,
        nodes: int = 1,
        store: StoreKind = "sqlite",
        replicas: int = 1,
    ) -> None:
        """`nodes` of a private broker form a cluster.

        A `world` that is still starting does so while the broker does; its settings are added to those given. It is
        dismissed as soon as the agents have ended.

        `replicas` processes per agent share a `postgres` store, in a private server of the stage's own.
        """
        self._store = store
        self._replicas = replicas
        self.kind = "external" if url else "private" if nodes == 1 else "cluster"
        self._nodes = nodes
        self._directory = directory
        self._given = settings
        self._world = world
        self._url = url
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None
        self._cast: Cast | None = None
        self._brokers: dict[str, PrivateBroker] = {}

    @property
    def processes(self) -> Mapping[str, int]:
        """Each agent's own."""
        return self._cast.processes if self._cast else {}

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            broker_settings, admin = await self._open_broker(stack)
            store_settings = await self._open_stores(stack) if self._store == "postgres" else {}
            surroundings = await self._world.ready() if self._world else {}
            members = {
                **self._given,
                **surroundings,
                **broker_settings,
                **store_settings,
                "state_dir": str(self._directory / "state"),
            }
            file = self._directory / "interlock.toml"
            file.touch(mode=0o600)
            file.write_text(render_toml(members), encoding="utf-8")
            self.settings: Settings = SandboxSettings.load(members)
            _refuse_shared_login(self.settings)
            await _declare(admin or self.settings.broker_urls(CONSOLE))
            self.console = await RabbitTransport.connect(self.settings.broker_urls(CONSOLE), identity=CONSOLE)
            stack.push_async_callback(self.console.aclose)
            if self._world:
                stack.callback(self._world.dismiss)
            self._cast = Cast(
                replicas_of(TEAM, self._replicas),
                config=file,
                directory=self._directory,
                environment=environment(),
                brokers=self._brokers,
            )
            await stack.enter_async_context(self._cast)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def _open_broker(self, stack: AsyncExitStack) -> tuple[dict[str, Any], list[str]]:
        """Return the settings that lead to the broker, and the URL of a user who may declare queues, where known."""
        if self._url is not None:
            # A broker that was named is meant: who logs in there is the one thing that the machine's settings say.
            admin = [self._url] if urlsplit(self._url).username else []
            return {"broker_url": [self._url], "broker": login(Settings.load().broker)}, admin
        rows = definitions(allowed_rows(), observers=(CONSOLE,))
        folder = self._directory / "broker"
        await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
        if self._nodes == 1:
            broker = await stack.enter_async_context(PrivateBroker(folder, definitions=rows))
            self._brokers = {"broker": broker}
        else:
            cluster = await stack.enter_async_context(PrivateCluster(folder, definitions=rows, nodes=self._nodes))
            self._brokers = {f"broker-{number}": node for number, node in enumerate(cluster.nodes, start=1)}
        passwords = {name: password for name, password in rows.passwords.items() if name != ADMIN}
        vhost = rows.document["vhosts"][0]["name"]
        urls = [f"amqp://127.0.0.1:{node.port}/{vhost}" for node in self._brokers.values()]
        return {"broker_url": urls, "broker": {"passwords": passwords}}, [n.url() for n in self._brokers.values()]

    async def _open_stores(self, stack: AsyncExitStack) -> dict[str, Any]:
        """Start a PostgreSQL with a schema per agent, and return the settings that lead to it."""
        from interlock.bus.store.postgres.store import migrate_schema  # its driver comes with an extra

        server = PrivatePostgres(self._directory / "database")
        await stack.enter_async_context(server)
        now = to_micros(SystemClock().now())
        for name in TEAM:
            await anyio.to_thread.run_sync(partial(migrate_schema, server.url(), agent=name, now=now))
        return {"store_url": server.url(), "runtime": {"lease": _LEASE}}


def _refuse_shared_login(settings: Settings) -> None:
    """Agents prove who they are by their login: one for all of them would have every message refused."""
    for name in ALL_ROLES:
        for url in settings.broker_urls(name):
            user = unquote(urlsplit(url).username or "guest")
            if user != name:
                raise UsageError(
                    f"{name} would log in as {user}: give [broker.passwords] for {', '.join(ALL_ROLES)} in "
                    "interlock.toml, as 'interlock broker up' writes them, or use --broker private"
                )


async def _declare(urls: Sequence[str]) -> None:
    """Declare the team's queues, unless this login may not: then whoever deployed the broker has done so."""
    transport = await RabbitTransport.connect(urls, identity=ADMIN, journal=False)
    try:
        await transport.declare(_TOPOLOGY)
    except NotPermittedError:
        return
    finally:
        await transport.aclose()
