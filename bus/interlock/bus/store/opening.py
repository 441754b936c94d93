"""Opens an agent's store by its address: a path is a SQLite file, a URL a PostgreSQL schema for replicas."""

from __future__ import annotations

__all__ = ["is_shared", "open_reader", "open_store"]

import os
from urllib.parse import quote

from interlock.bus.clock import Clock
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteStore


def is_shared(address: str | os.PathLike[str]) -> bool:
    """Return whether several processes may work with the store at an address at once."""
    return str(address).startswith(("postgresql://", "postgres://"))


async def open_store(address: str | os.PathLike[str], *, agent: str, clock: Clock) -> SqlStore:
    """Open the store of one agent; the caller closes it.

    In a URL `{agent}` stands for the agent's name, so that one setting gives each agent a user of its own. A SQLite
    file is made and migrated by its owner; PostgreSQL is migrated by `interlock store migrate`, because an agent's
    user need not have the right to. Raises UsageError when the store cannot be this agent's as it is, StoreBusyError
    when another process owns the file, StoreUnavailableError when it cannot be reached.
    """
    if not is_shared(address):
        return await SqliteStore.open(address, agent=agent, clock=clock)
    from interlock.bus.store.postgres.store import PostgresStore  # the driver is an optional dependency

    return await PostgresStore.open(_of(address, agent), agent=agent, clock=clock)


def open_reader(address: str | os.PathLike[str], *, agent: str) -> StoreReader:
    """Open a store to look into it, while its agent works or not. Raises as `StoreReader.open` does."""
    if not is_shared(address):
        return StoreReader.open(address)
    from interlock.bus.store.postgres.address import PostgresAddress  # as above
    from interlock.bus.store.postgres.reading import PostgresReading

    where = PostgresAddress(_of(address, agent), agent)
    return StoreReader(PostgresReading(where), dialect="postgresql", name=str(where))


def _of(address: str | os.PathLike[str], agent: str) -> str:
    return str(address).replace("{agent}", quote(agent, safe=""))
