"""The team that uses databases."""

from interlock.agents.backend.agent import PoolSettings, backend_agent

__all__ = ["PoolSettings", "backend_agent"]
