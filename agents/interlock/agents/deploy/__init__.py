"""The team that deploys into environments."""

from interlock.agents.deploy.agent import deploy_agent

__all__ = ["deploy_agent"]
