"""The main job over three RabbitMQ nodes goes on through the loss of any one, also of the one that leads its queues."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.cluster import FOLLOWERS, LEADER
from faults.flow import Flow
from faults.killing import Kill
from faults.oracle import Evidence, violations
from interlock.bus.private_broker import find_server

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.slow,
    pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server is installed"),
]


@pytest.mark.parametrize(
    "kill",
    [Kill(LEADER, "approved_test", 1.0), Kill(FOLLOWERS[0], "coded", 0.2), Kill(FOLLOWERS[1], "applying", 0.5)],
    ids=lambda kill: f"{kill.target} lost while {kill.state}",
)
async def test_a_change_is_accepted_once_although_a_node_is_lost(tmp_path: Path, kill: Kill) -> None:
    outcome = await Flow(tmp_path, (kill,), broker="cluster").play(deadline=400)

    assert violations(Evidence.of(outcome)) == ()
    (hit,) = outcome.hits
    assert hit.recovery is not None, "the change had nothing left to do when the node was lost"
    console = tmp_path / "work" / "broker" / str(hit.node).replace("broker", "node") / "console.log"
    assert console.read_bytes().count(b"Server startup complete") == 1  # it stayed away
