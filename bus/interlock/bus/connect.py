"""From an address to a transport or a bus; the one place that knows which transports exist."""

from __future__ import annotations

__all__ = ["MEMORY", "connect", "open_transport"]

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from interlock.bus.bus import Bus
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology, Transport
from interlock.protocol.catalogue import CATALOGUE, Catalogue

if TYPE_CHECKING:  # imported by whoever tells
    from interlock.bus.telemetry import Telemetry

MEMORY = "memory:"
"""The address of a broker in this process that nobody else has; to share one, pass the `MemoryBroker` itself."""


async def open_transport(
    address: str | Sequence[str] | MemoryBroker, *, identity: str, clock: Clock | None = None
) -> Transport:
    """Return a connected transport; the caller closes it.

    `address` is an AMQP URL or several of one cluster, `memory:`, or a `MemoryBroker` that is shared. Raises
    BrokerUnavailableError, NotPermittedError for refused credentials, UsageError for a malformed URL.
    """
    if isinstance(address, MemoryBroker):
        return address.connect(identity)
    if address == MEMORY:
        transport = MemoryBroker().connect(identity)
        await transport.declare(Topology((AgentQueue(identity),)))
        return transport
    # Imported here, so that a process that stays in memory does not load an AMQP client.
    from interlock.bus.rabbitmq import RabbitTransport

    return await RabbitTransport.connect(address, identity=identity, clock=clock)


@asynccontextmanager
async def connect(
    address: str | Sequence[str] | MemoryBroker,
    *,
    identity: str,
    clock: Clock | None = None,
    catalogue: Catalogue = CATALOGUE,
    telemetry: Telemetry | None = None,
) -> AsyncGenerator[Bus]:
    """Open a bus for the length of the context; see `open_transport` for addresses and errors, `Bus` for the rest."""
    clock = clock or SystemClock()
    transport = await open_transport(address, identity=identity, clock=clock)
    bus = Bus(transport, clock=clock, catalogue=catalogue, telemetry=telemetry)
    try:
        yield bus
    finally:
        with anyio.CancelScope(shield=True):
            await bus.aclose()
            await transport.aclose()
