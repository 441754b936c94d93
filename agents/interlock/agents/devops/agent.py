"""Builds the devops agent from the outside systems that it may touch."""

from __future__ import annotations

__all__ = ["devops_agent"]

from interlock.agents.agent import Agent
from interlock.agents.devops.applying import Applying
from interlock.agents.devops.closing import Closing
from interlock.agents.devops.costing import Costing
from interlock.agents.devops.documentation import Documentation
from interlock.agents.devops.handing_over import HandingOver
from interlock.agents.devops.monitoring import Monitoring
from interlock.agents.devops.planning import Planning
from interlock.agents.devops.requirements import Requirements
from interlock.agents.devops.systems import DevopsSystems
from interlock.protocol.roles import DEVOPS


def devops_agent(systems: DevopsSystems) -> Agent:
    """Return the devops agent: one handler per order of the coordinator, and one per answer of a peer."""
    agent = Agent(DEVOPS)
    applying, closing, handing_over = Applying(systems), Closing(systems), HandingOver(systems)
    for handler in (
        Requirements(systems.jira).analyse,
        Costing().estimate,
        Planning(systems).plan,
        applying.apply,
        applying.verify,
        applying.reconcile,
        Monitoring(systems.monitoring, receipts=systems.receipts).configure,
        Documentation(systems.artifacts).publish,
        handing_over.hand_over,
        handing_over.connected,
        handing_over.reviewed,
        handing_over.tested,
        handing_over.deployable,
        handing_over.not_taken,
        closing.close,
        closing.escalate,
    ):
        agent.on(handler)
    return agent
