"""Several private RabbitMQ nodes in one cluster, for demonstrations and fault tests; it knows no queue's meaning.

They share a machine, so they show what happens when a node dies, and not what happens when a network does.
"""

from __future__ import annotations

__all__ = ["PrivateCluster"]

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.port_mapper import PortMapper
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.private_node import Membership
from interlock.bus.rabbitmq.definitions import ADMIN, VHOST, Definitions

_LOOK = 0.5
"""Seconds between looks at whether a node has caught up; each costs the start of an Erlang VM."""


class PrivateCluster:
    """`async with PrivateCluster(directory, definitions=…) as cluster`: ready when every node sees every other.

    A node is one of `nodes`: it is killed, frozen, stopped and started again like any private broker, and keeps its
    data and its port. The directory is the caller's to remove.
    """

    def __init__(
        self, directory: Path, *, definitions: Definitions, nodes: int = 3, server: Path | None = None
    ) -> None:
        """Quorum queues and streams have a member on up to three nodes, RabbitMQ's own default."""
        membership = Membership.of(nodes)
        self._mapper = PortMapper(directory, port=membership.epmd_port)
        self.nodes = tuple(
            PrivateBroker(
                directory / f"node-{number}", definitions=definitions, server=server, membership=membership, name=name
            )
            for number, name in enumerate(membership.names, start=1)
        )

    def __repr__(self) -> str:
        return f"PrivateCluster(nodes={list(self.nodes)})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.stop()

    def urls(self, user: str = ADMIN) -> list[str]:
        """Return a user's AMQP URLs, one per node. Secret: they contain the password."""
        return [node.url(user) for node in self.nodes]

    async def start(self, *, timeout: float = 120.0) -> None:
        """Start every node that does not run, and return when all see each other; `timeout` is in seconds.

        Raises UsageError when no server is installed, BrokerUnavailableError when they do not come together.
        """
        for node in self.nodes:
            await anyio.Path(node.directory).mkdir(parents=True, exist_ok=True)
        await self._mapper.start()
        try:
            # One after the other: nodes that start at the same moment may each begin a cluster of its own.
            for node in self.nodes:
                await node.start(timeout=timeout)
            count = len(self.nodes)
            await self.nodes[0].control("await_online_nodes", str(count), timeout=timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.stop()
            raise

    async def stop(self) -> None:
        """End all nodes and their port mapper. Idempotent; the data stays."""
        async with anyio.create_task_group() as tasks:
            for node in self.nodes:
                tasks.start_soon(node.stop)
        await self._mapper.stop()

    async def leaders(self) -> Mapping[str, PrivateBroker]:
        """Return which node leads each queue, asked of a node that runs."""
        by_name = {node.name: node for node in self.nodes}
        return {str(row["name"]): by_name[str(row["leader"])] for row in await self._queues() if row["leader"]}

    async def wait_until_in_sync(self, *, timeout: float = 60.0) -> None:
        """Return when every replicated queue has a member online on every node; `timeout` is in seconds.

        Raises BrokerUnavailableError when that does not come about.
        """
        with anyio.move_on_after(timeout):
            while not await self._in_sync():  # noqa: ASYNC110 - a node tells nobody that it has caught up
                await anyio.sleep(_LOOK)
            return
        raise BrokerUnavailableError(f"not every queue has caught up on every node within {timeout:g} s: {self!r}")

    async def _in_sync(self) -> bool:
        replicated = [row for row in await self._queues() if row["online"]]
        return all(len(row["online"]) == len(self.nodes) for row in replicated)

    async def _queues(self) -> list[Mapping[str, list[str] | str]]:
        node = next((node for node in self.nodes if node.is_running), None)
        if node is None:
            raise BrokerUnavailableError(f"no node runs: {self!r}")
        listed = await node.control(
            "list_queues", "--vhost", VHOST, "--silent", "--formatter", "json", "name", "leader", "online"
        )
        rows: list[Mapping[str, list[str] | str]] = json.loads(listed)
        return rows
