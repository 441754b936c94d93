"""Builds the coordinator; it needs no outside system: it decides from messages and timers alone."""

from __future__ import annotations

__all__ = ["coordinator"]

from interlock.agents.agent import Agent
from interlock.agents.coordinator.change import Change
from interlock.agents.workflow import host
from interlock.protocol.roles import COORDINATOR


def coordinator() -> Agent:
    """Return the coordinator with its Change workflow."""
    agent = Agent(COORDINATOR)
    host(agent, Change)
    return agent
