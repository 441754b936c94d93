"""What the broker should hold for this installation: the catalogue's agents, with the limits of the settings.

It knows names and numbers; how they are compared with a broker, and changed there, is the bus's.
"""

from __future__ import annotations

__all__ = ["announcements", "intended_topology", "own_topology"]

from collections.abc import Iterable
from dataclasses import replace

from interlock.agents.settings import TopologySettings
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.message import ALL


def intended_topology(names: Iterable[str], settings: TopologySettings) -> Topology:
    """Return queues for these agents and for those that the settings name besides."""
    agents = sorted({*names, *settings.agents})
    return Topology(
        agents=tuple(_queue(name, settings) for name in agents),
        journal_max_age=settings.journal_max_age,
        journal_max_bytes=settings.journal_max_bytes,
    )


def announcements(catalogue: Catalogue) -> frozenset[str]:
    """Return the types that somebody may send to `all`: any agent may have bound its queue to them."""
    return frozenset(message.declaration.type for message in catalogue if ALL in message.declaration.route.receivers)


def own_topology(name: str, asked_for: frozenset[str], settings: TopologySettings) -> Topology:
    """Return one agent's own part, with the announcements that it asks for."""
    limits = _queue(name, settings)
    queue = replace(limits, announcements=limits.announcements | asked_for)
    return replace(intended_topology((), settings), agents=(queue,))


def _queue(name: str, settings: TopologySettings) -> AgentQueue:
    limits = settings.agents.get(name)
    if limits is None:
        return AgentQueue(name, delivery_limit=settings.delivery_limit, max_length=settings.max_length)
    return AgentQueue(
        name,
        announcements=frozenset(limits.announcements),
        delivery_limit=settings.delivery_limit if limits.delivery_limit is None else limits.delivery_limit,
        max_length=settings.max_length if limits.max_length is None else limits.max_length,
    )
