"""The topology's own user at work: looks, compares, adds, replaces, deletes; it knows no agent and no command."""

from __future__ import annotations

__all__ = ["Administration", "vhost_of"]

import logging
import re
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote, urlsplit

import anyio

from interlock.bus.clock import Clock
from interlock.bus.rabbitmq.applying import Left, add, prune
from interlock.bus.rabbitmq.connection import CHATTY, Connection
from interlock.bus.rabbitmq.definitions import ADMIN
from interlock.bus.rabbitmq.drift import Drift, Orphan, compare
from interlock.bus.rabbitmq.management import Management
from interlock.bus.rabbitmq.moving import Move
from interlock.bus.rabbitmq.observation import Observation, from_management
from interlock.bus.rabbitmq.probing import probe
from interlock.bus.rabbitmq.topology import Binding, Plan, Queue, plan
from interlock.bus.transport import Topology
from interlock.protocol.errors import UsageError

_PATIENCE = 10.0
"""Seconds for a broker that does not answer."""


class Administration:
    """One broker's topology, over AMQP and, where there is one, the management API."""

    def __init__(self, connection: Connection, *, management: Management | None, clock: Clock) -> None:
        """Prefer `open`. Without `management`, what is too much cannot be seen, and nothing can be moved."""
        self._connection = connection
        self._management = management
        self._clock = clock

    def __repr__(self) -> str:
        return f"Administration({self._connection!r}, management={self._management!r})"

    @classmethod
    @asynccontextmanager
    async def open(
        cls, urls: Sequence[str], *, management: Management | None, clock: Clock
    ) -> AsyncGenerator[Administration]:
        """Connect when first needed, and disconnect at the end. Raises UsageError for a malformed URL."""
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        connection = Connection(urls, identity=ADMIN, clock=clock)
        try:
            yield cls(connection, management=management, clock=clock)
        finally:
            with anyio.CancelScope(shield=True):
                await connection.aclose()

    @property
    def management(self) -> Management | None:
        """The API that is looked through."""
        return self._management

    async def version(self, *, timeout: float = _PATIENCE) -> tuple[str, tuple[int, ...]]:
        """Return the broker's product and version, as text and as numbers; raises as `Connection.channel` does."""
        product, version = await self._connection.server_properties(timeout=timeout)
        return f"{product} {version}", tuple(int(number) for number in re.findall(r"\d+", version)[:2])

    async def planned(self, topology: Topology) -> Plan:
        """Return what a broker of this version should hold."""
        _, version = await self.version()
        return plan(topology, version=version)

    async def observe(self, planned: Plan) -> Observation:
        """Look at everything, or without the management API at what the plan names."""
        if self._management is not None:
            return await from_management(self._management)
        return await probe(self._connection, planned)

    async def drift(self, topology: Topology, *, announcements: Collection[str] = ()) -> Drift:
        """Compare; see `compare`. Raises BrokerUnavailableError, LoginRefusedError, NotPermittedError."""
        planned = await self.planned(topology)
        return compare(planned, await self.observe(planned), announcements=announcements)

    async def add(self, drift: Drift) -> None:
        """Declare what is missing; see `applying.add`."""
        await add(self._connection, drift)

    async def replace(self, wanted: Queue, *, planned: Plan, tell: Callable[[str], None] = lambda _: None) -> int:
        """Replace a queue whose arguments differ; returns how many messages were moved. See `Move` for errors.

        Raises UsageError without the management API: what agents bound themselves would be lost.
        """
        if self._management is None:
            raise UsageError("a queue's bindings are needed to move its messages: set broker.management_url")
        _, version = await self.version()
        seen = await from_management(self._management)
        move = Move(
            self._connection,
            wanted=wanted,
            bindings=[binding for binding in planned.bindings if binding.queue == wanted.name],
            kept=seen.bindings or (),
            version=version,
            tell=tell,
        )
        return await move.run()

    async def prune(self, orphans: Iterable[Orphan], bindings: Iterable[Binding]) -> tuple[Left, ...]:
        """Delete what nobody misses and return the rest; see `applying.prune`."""
        return await prune(self._connection, orphans, bindings, clock=self._clock)


def vhost_of(url: str) -> str:
    """Return the virtual host that an AMQP URL names; none at all is the default one."""
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"
