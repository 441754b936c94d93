"""Explicit state machines, driven by messages and timers, whose every step is one transaction."""

from interlock.agents.workflow.definition import ANY_STATE, State, Timeout, on
from interlock.agents.workflow.hosting import host
from interlock.agents.workflow.workflow import Occasion, Workflow

__all__ = ["ANY_STATE", "Occasion", "State", "Timeout", "Workflow", "host", "on"]
