"""Who speaks: agents as their authors write them. The team, its workflows and systems are in the packages below."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interlock.agents.agent import Addressed, Agent, to
    from interlock.agents.context import Context

__all__ = ["Addressed", "Agent", "Context", "to"]

_HOMES = {
    "Addressed": "agent",
    "Agent": "agent",
    "Context": "context",
    "to": "agent",
}


if not TYPE_CHECKING:  # whoever checks types sees the imports above, and no other names

    def __getattr__(name: str) -> object:
        """Import what is asked for: a command's help needs none of it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value
