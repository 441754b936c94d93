"""Where a PostgreSQL store is, and how a session to it is set up; it runs no statement."""

from __future__ import annotations

__all__ = ["PostgresAddress"]

import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import asyncpg

from interlock.bus.store.database import StoreUnavailableError
from interlock.protocol.errors import InterlockError, UsageError

_BY_INDEX = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
"""A writer's statements look rows up, however small a table was when its statistics were gathered. None of them is
worth compiling, which takes the server seconds where a plan cannot avoid what is off."""


@dataclass(frozen=True, slots=True)
class PostgresAddress:
    """One agent's schema in one database. Its text shows no password."""

    url: str = field(repr=False)
    """`postgresql://user:password@host:port/database`; parameters as libpq knows them, such as `sslmode`."""
    agent: str
    """The schema has its name: an agent's user needs rights to no other."""

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        host = parts.hostname or "localhost"
        port = f":{parts.port}" if parts.port else ""
        return f"postgresql://{host}{port}{parts.path}, schema {self.agent}"

    @property
    def schema(self) -> str:
        """The schema's name, quoted."""
        return '"' + self.agent.replace('"', '""') + '"'

    @property
    def channel(self) -> str:
        """The channel on which replicas tell each other that there is something new."""
        return f"interlock {self.agent}"[:63]

    @property
    def lock(self) -> int:
        """The key of the advisory lock under which one replica writes at a time."""
        return int.from_bytes(hashlib.sha256(f"interlock {self.agent}".encode()).digest()[:8], "big", signed=True)

    async def connect(self, *, read_only: bool = False) -> asyncpg.Connection:
        """Begin a session in the agent's schema.

        A session that stalls inside a transaction is ended by the server, so that it holds up the other replicas for
        seconds at most. Raises UsageError when the login is refused or the database missing, StoreUnavailableError
        when there is no connection at present.
        """
        try:
            return await asyncpg.connect(
                self.url,
                timeout=5,
                command_timeout=20.0,
                server_settings={
                    "application_name": f"interlock {self.agent}",
                    "search_path": self.schema,
                    "lock_timeout": "10s",
                    "idle_in_transaction_session_timeout": "10s",
                    "statement_timeout": "15s",
                    "default_transaction_read_only": "on" if read_only else "off",
                    **({} if read_only else _BY_INDEX),
                },
            )
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
            raise UsageError(f"the store {self} refuses the session: {error}; correct store_url") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise self.unavailable(error) from error

    def unavailable(self, error: Exception) -> InterlockError:
        """Return what to raise for a database that is away."""
        return StoreUnavailableError(f"the store {self} cannot be reached: {error or type(error).__name__}; try again")
