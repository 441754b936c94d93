"""Who speaks: agents as their authors write them. The team, its workflows and systems are in the packages below."""

from interlock.agents.agent import Addressed, Agent, to
from interlock.agents.context import Context

__all__ = ["Addressed", "Agent", "Context", "to"]
