"""Who is here, and what they handle."""

from __future__ import annotations

__all__ = ["AgentAnnounced", "AgentHeartbeat", "AgentOffline"]

from typing import Annotated

from pydantic import Field

from interlock.protocol.message import ALL, ANY, Event, Route
from interlock.protocol.values import AgentName, Identifier, ShortText, Timestamp


class AgentAnnounced(Event, type="agent_announced", route=Route.of(ANY, ALL)):
    """An agent has started and takes messages."""

    name: AgentName
    handles: tuple[Identifier, ...]
    """The message types that it has handlers for, sorted."""
    version: ShortText
    """The agent's own release."""


class AgentHeartbeat(Event, type="agent_heartbeat", route=Route.of(ANY, ALL)):
    """An agent is alive."""

    name: AgentName
    waiting: Annotated[int, Field(ge=0)]
    """Messages in its inbox that are not done."""
    working: Annotated[int, Field(ge=0)]
    """Handlers that run at this moment."""


class AgentOffline(Event, type="agent_offline", route=Route.of(ANY, ALL)):
    """An agent leaves in good order. One that dies says nothing: its heartbeats stop."""

    name: AgentName
    last_seen: Timestamp
    reason: ShortText
