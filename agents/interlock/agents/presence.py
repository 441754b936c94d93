"""Says that an agent is here, alive, and gone; announcements may be lost and cost nothing when they are."""

from __future__ import annotations

__all__ = ["Presence"]

import logging
from collections.abc import Callable

from interlock.agents.agent import Agent
from interlock.bus.clock import Clock
from interlock.bus.store.port import Store
from interlock.bus.transport import Outgoing, Transport
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InterlockError, TransientError
from interlock.protocol.message import ALL, Message
from interlock.protocol.messages.presence import AgentAnnounced, AgentHeartbeat, AgentOffline

_log = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds for the broker's confirm."""


class Presence:
    """The announcements of one agent; they bypass its store, since yesterday's heartbeat interests nobody.

    What the broker does not take is logged and forgotten.
    """

    def __init__(self, agent: Agent, *, transport: Transport, store: Store, clock: Clock) -> None:
        self._agent = agent
        self._transport = transport
        self._store = store
        self._clock = clock

    async def announce(self) -> None:
        """Say that the agent has started."""
        await self._say(AgentAnnounced(name=self._agent.name, handles=self._agent.handles, version=self._agent.version))

    async def beat(self, interval: float, working: Callable[[], int]) -> None:
        """Say every `interval` seconds that the agent is alive, until cancelled."""
        while True:
            await self._clock.sleep(interval)
            try:
                counts = await self._store.counts()
            except TransientError as error:
                _log.warning("%s skips a heartbeat: %s", self._agent.name, error)
                continue
            waiting = counts.ready + counts.leased
            await self._say(AgentHeartbeat(name=self._agent.name, waiting=waiting, working=working()))

    async def leave(self, reason: str) -> None:
        """Say that the agent ends in good order."""
        await self._say(AgentOffline(name=self._agent.name, last_seen=self._clock.now(), reason=reason))

    async def _say(self, message: Message) -> None:
        envelope = Envelope.wrap(message, sender=self._agent.name, receiver=ALL, sent_at=self._clock.now())
        outgoing = Outgoing(
            body=encode(envelope),
            message_id=envelope.id,
            sender=envelope.sender,
            receiver=ALL,
            type=envelope.type,
            conversation_id=envelope.conversation_id,
            sent_at=envelope.sent_at,
        )
        try:
            await self._transport.publish(outgoing, timeout=_PATIENCE)
        except InterlockError as error:
            _log.warning("%s could not announce itself: %s", self._agent.name, error)
