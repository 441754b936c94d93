"""The team that says whether a change is safe."""

from interlock.agents.security.agent import security_agent

__all__ = ["security_agent"]
