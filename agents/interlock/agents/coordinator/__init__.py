"""The agent that dispatches work, keeps deadlines, and opens and closes gates."""

from interlock.agents.coordinator.agent import coordinator
from interlock.agents.coordinator.change import Change

__all__ = ["Change", "coordinator"]
