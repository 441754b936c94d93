"""Quick cuts of `kill_agents.py`: flows in which agents and the broker are killed, and each agent's replicas."""

from __future__ import annotations

from pathlib import Path

import pytest

from faults.flow import Flow
from faults.killing import BROKER, Kill, plan_kills
from faults.oracle import Evidence, violations
from interlock.agents.demo.cast import replicas_of
from interlock.bus.private_broker import find_server
from interlock.protocol.roles import COORDINATOR, DEVOPS, TEAM

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


@pytest.mark.postgres
async def test_a_change_is_accepted_once_although_both_replicas_of_every_agent_are_killed_in_turn(
    tmp_path: Path,
) -> None:
    kills = plan_kills(1, 1, targets=replicas_of(TEAM, 2))

    outcome = await Flow(tmp_path, kills, replicas=2).play(deadline=400)

    assert violations(Evidence.of(outcome)) == ()
    assert {hit.kill.target.partition(".")[0] for hit in outcome.hits} == set(TEAM)
    assert len(outcome.hits) >= len(TEAM), "what is hit depends on how fast the change goes; most of the twelve are"
