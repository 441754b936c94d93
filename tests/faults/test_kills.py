"""A quick cut of `kill_agents.py`: one flow in which the devops agent, the coordinator and the broker are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.flow import Flow
from faults.killing import BROKER, Kill
from faults.oracle import Evidence, violations
from interlock.bus.private_broker import find_server
from interlock.protocol.roles import COORDINATOR, DEVOPS

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.slow,
    pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server is installed"),
]

KILLS = (
    Kill(COORDINATOR, "coded", 0.2),
    Kill(DEVOPS, "approved_test", 1.0),
    Kill(BROKER, "applied_test", 0.1),
)


async def test_a_change_is_accepted_once_although_agents_and_the_broker_are_killed(tmp_path: Path) -> None:
    outcome = await Flow(tmp_path, KILLS).play(deadline=120)

    assert violations(Evidence.of(outcome)) == ()
    assert [hit.kill for hit in outcome.hits] == list(KILLS)
    assert all(hit.recovery is not None for hit in outcome.hits)
