"""The team that tests what it is given."""

from interlock.agents.qa.agent import qa_agent

__all__ = ["qa_agent"]
