"""Opens an agent's store by its address: a path is a SQLite file, a URL a PostgreSQL schema for replicas."""

from __future__ import annotations

__all__ = ["address_of", "is_shared", "open_reader", "open_store"]

import os
from urllib.parse import quote

from interlock.bus.clock import Clock
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.errors import UsageError


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
    try:
        from interlock.bus.store.postgres.store import PostgresStore  # the driver is an optional dependency
    except ModuleNotFoundError as error:
        raise UsageError(f"a store in PostgreSQL needs {error.name}: install interlock[postgres]") from error

    return await PostgresStore.open(address_of(address, agent), agent=agent, clock=clock)


def open_reader(address: str | os.PathLike[str], *, agent: str) -> StoreReader:
    """Open a store to look into it, while its agent works or not. Raises as `StoreReader.open` does."""
    if not is_shared(address):
        return StoreReader.open(address)
    try:
        from interlock.bus.store.postgres.address import PostgresAddress  # as above
        from interlock.bus.store.postgres.reading import PostgresReading
    except ModuleNotFoundError as error:
        raise UsageError(f"a store in PostgreSQL needs {error.name}: install interlock[postgres]") from error

    where = PostgresAddress(address_of(address, agent), agent)
    return StoreReader(PostgresReading(where), dialect="postgresql", name=str(where))


def address_of(address: str | os.PathLike[str], agent: str) -> str:
    """Return an address with the agent's name in the place of `{agent}`."""
    return str(address).replace("{agent}", quote(agent, safe=""))
