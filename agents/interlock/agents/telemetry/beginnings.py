"""Tells with which message a conversation's trace begins; it starts no span and reads nothing but the store's word."""

from __future__ import annotations

__all__ = ["Beginnings"]

from collections import Counter

from interlock.agents.patience import Patience
from interlock.bus.store.port import Store
from interlock.bus.telemetry import Telemetry
from interlock.bus.transport import Delivery
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message


class Beginnings:
    """Asks the store only about what may begin a trace that is kept: a message without context or cause."""

    def __init__(self, store: Store, *, patience: Patience, telemetry: Telemetry) -> None:
        self._store = store
        self._patience = patience
        self._telemetry = telemetry
        self._asked: Counter[str] = Counter()
        """Conversations about which the store is being asked, by how many messages."""

    def __repr__(self) -> str:
        return f"Beginnings(asked={len(self._asked)})"

    async def at(self, delivery: Delivery, envelope: Envelope[Message]) -> bool:
        """Return whether a trace begins here: nobody before has traced, and it is no person's word in a workflow.

        Messages of one conversation keep their order: what comes while the store is asked about one before it asks
        as well, and so waits behind it. Raises StoreUnavailableError when the store stays away.
        """
        conversation = envelope.conversation_id
        may = self._may_begin(delivery, envelope)
        if not may and conversation not in self._asked:
            return False
        self._asked[conversation] += 1
        try:
            workflow = await self._patience.insist(self._store.workflow, conversation)
        finally:
            self._asked[conversation] -= 1
            if not self._asked[conversation]:
                del self._asked[conversation]
        return may and workflow is None

    def _may_begin(self, delivery: Delivery, envelope: Envelope[Message]) -> bool:
        tracing = self._telemetry.tracing
        return (
            tracing is not None
            and envelope.traceparent is None
            and envelope.causation_id is None
            and delivery.attempt == 1
            and tracing.spans.records(tracing.root(envelope.conversation_id))
        )
