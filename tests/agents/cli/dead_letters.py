"""Stores with dead messages, and what `interlock dead` is run beside."""

from __future__ import annotations

__all__ = ["AGENT", "READY", "bury", "given_up", "open_store", "states"]

from pathlib import Path

import anyio

from interlock.bus.clock import SystemClock
from interlock.bus.store.audit import verify_chain
from interlock.bus.store.port import Store
from interlock.bus.store.records import InboxMessage, InboxState
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.codec import decode_bare, encode

AGENT = "backend-agent"
READY = Path(__file__).parents[2] / "fixtures" / "messages" / "infrastructure_ready.json"


async def open_store(directory: Path, agent: str = AGENT) -> SqliteStore:
    return await SqliteStore.open(directory / f"{agent}.sqlite", agent=agent, clock=SystemClock())


def given_up(directory: Path, *errors: str, agent: str = AGENT) -> None:
    """Leave a store with a dead message for each error."""

    async def fill() -> None:
        store = await open_store(directory, agent)
        await bury(store, *errors)
        await store.aclose()

    anyio.run(fill)


async def bury(store: Store, *errors: str) -> None:
    """Have a message for each error, and give it up."""
    for error in errors:
        envelope = decode_bare(READY.read_bytes(), now=SystemClock().now())
        await store.receive(
            InboxMessage(
                message_id=envelope.id,
                sender=envelope.sender,
                type=envelope.type,
                conversation_id=envelope.conversation_id,
                body=encode(envelope),
                received_at=envelope.sent_at,
            )
        )
        (claim,) = await store.claim(limit=1, lease=30.0)
        await store.bury(claim, error=error)


def states(directory: Path) -> list[InboxState]:
    async def read() -> list[InboxState]:
        store = await open_store(directory)
        found = [row.state for seq in range(1, 10) if (row := await store.letter(seq)) is not None]
        assert verify_chain(await store.audit()) is None
        await store.aclose()
        return found

    return anyio.run(read)
