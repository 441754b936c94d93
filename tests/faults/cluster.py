"""Which node of a demonstration's cluster leads the coordinator's queue, and which do not; asked of RabbitMQ itself."""

from __future__ import annotations

__all__ = ["FOLLOWERS", "LEADER", "NODES", "nodes_by_role"]

import json
from collections.abc import Mapping
from pathlib import Path

import anyio

from interlock.protocol.roles import COORDINATOR

NODES = ("broker-1", "broker-2", "broker-3")
LEADER = "leader"
FOLLOWERS = ("follower-1", "follower-2")


async def nodes_by_role(folder: Path) -> Mapping[str, str]:
    """Return the nodes of the cluster in this folder by what they are to the coordinator's queue."""
    command = [str(folder / "node-1" / "rabbitmqctl"), "list_queues", "--vhost", "interlock", "--silent"]
    listed = await anyio.run_process([*command, "--formatter", "json", "name", "leader", "members"])
    (row,) = [row for row in json.loads(listed.stdout) if row["name"] == COORDINATOR]
    assert len(row["members"]) == len(NODES), f"the coordinator's queue is not on every node: {row}"
    numbers = {name: f"broker-{name.partition('@')[0].rpartition('-')[2]}" for name in row["members"]}
    leader = numbers[row["leader"]]
    others = sorted(set(NODES) - {leader})
    return {LEADER: leader, **dict(zip(FOLLOWERS, others, strict=True))}
