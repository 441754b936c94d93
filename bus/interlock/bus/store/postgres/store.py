"""The store of an agent's replicas in PostgreSQL: opening it, and hearing of each other; statements live elsewhere."""

from __future__ import annotations

__all__ = ["PostgresStore", "migrate_schema"]

import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Self

import anyio
import anyio.to_thread

from interlock.bus.clock import Clock
from interlock.bus.store import consequences, inbox, outbox, owner
from interlock.bus.store.database import Connection, StoreUnavailableError
from interlock.bus.store.moments import to_micros
from interlock.bus.store.postgres import together
from interlock.bus.store.postgres.address import PostgresAddress
from interlock.bus.store.postgres.database import PostgresDatabase
from interlock.bus.store.records import Claim, Commit, InboxMessage, Receipt, Taken
from interlock.bus.store.schema.migrating import applied_steps, migrate
from interlock.bus.store.schema.revisions import Revision, known_revisions, missing
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.writer import FailPoint, Part, Writer
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import new_id

_log = logging.getLogger(__name__)

_RECONNECT = 1.0
"""Seconds between attempts to listen; meanwhile everyone looks by themselves, every second."""

_TOLERATED_SKEW = 2.0
"""Seconds by which this machine's clock may differ from the server's without a word."""


class PostgresStore(SqlStore):
    """A store in a schema that replicas share: a dead replica's messages go on when their leases run out.

    Leases are measured by the clocks of the replicas' machines, which must agree within a second or two. Where they do
    not, a message may be attempted early; its first holder's result is then refused by the fence.
    """

    def __init__(
        self, writer: Writer, *, address: PostgresAddress, agent: str, replica: str, epoch: int, clock: Clock
    ) -> None:
        """Take over what `open` has prepared."""
        super().__init__(writer, agent=agent, replica=replica, epoch=epoch, clock=clock)
        self._address = address
        self._announcer = replica

    def __repr__(self) -> str:
        return f"PostgresStore({self._address}, replica={self._replica!r})"

    @classmethod
    async def open(cls, url: str, *, agent: str, clock: Clock, fail_point: FailPoint | None = None) -> Self:
        """Join the replicas that use this store. It must have the schema of this release: see `migrate_schema`.

        `fail_point` is for crash tests. Raises UsageError when it has not, or when the login is refused,
        StoreUnavailableError when the server cannot be reached.
        """
        address, replica = PostgresAddress(url, agent), new_id()
        database = PostgresDatabase(address, announcer=replica)
        epoch = await anyio.to_thread.run_sync(_prepare, database, address, to_micros(clock.now()))
        writer = Writer(database, name=str(address), fail_point=fail_point)
        return cls(writer, address=address, agent=agent, replica=replica, epoch=epoch, clock=clock)

    async def receive(self, message: InboxMessage) -> Receipt:
        """Take a message in, in one statement with others that are offered at the same time."""
        part = Part(together.receive, together.Receiving(message))
        return await self._run(lambda db, _: inbox.receive(db, message), news=True, part=lambda _: part)

    async def take_in(self, messages: Sequence[InboxMessage], *, limit: int, lease: float) -> Taken:
        """Take messages in and lease what is due, sharing the statements with others that do so at the same time."""
        micros = round(lease * 1_000_000)
        return await self._run(
            lambda db, now: together.take_in(db, [together.TakingIn(messages, limit, micros, now)])[0],
            news=True,
            part=lambda now: Part(together.take_in, together.TakingIn(messages, limit, micros, now)),
        )

    async def claim(self, *, limit: int, lease: float) -> tuple[Claim, ...]:
        """Lease what is due; several wishes at the same time share the statements."""
        micros = round(lease * 1_000_000)
        return await self._run(
            lambda db, now: inbox.claim(db, limit=limit, until=now + micros, now=now),
            part=lambda now: Part(together.claim, together.Claiming(limit, micros, now)),
        )

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> tuple[Claim, ...]:
        """Prolong leases, all of them in one statement."""
        micros = round(lease * 1_000_000)
        return await self._run(
            lambda db, now: together.renew(db, [together.Renewing(claims, now + micros)])[0],
            part=lambda now: Part(together.renew, together.Renewing(claims, now + micros)),
        )

    async def finish(self, claim: Claim, commit: Commit) -> None:
        """End the message well; it shares the statements for inbox and outbox with others."""

        def finish(db: Connection, now: int) -> None:
            if inbox.finish(db, claim, now=now):
                consequences.write(db, commit, now=now)

        await self._run(
            finish, news=True, part=lambda now: Part(together.finish, together.Finishing(claim, commit, now))
        )

    async def mark_sent(self, message_ids: Sequence[str]) -> None:
        """Record confirms, those of several calls in one statement."""
        await self._run(
            lambda db, now: outbox.mark_sent(db, message_ids, now=now),
            part=lambda now: Part(together.mark_sent, together.Sending(message_ids, now)),
        )

    async def aclose(self) -> None:
        """Write what is queued, leave the outbox to another replica, and end the session."""
        with contextlib.suppress(StoreUnavailableError):  # it is away: the others wait until this one has been silent
            await self._run(lambda db, _: owner.resign(db, replica=self._announcer), news=True)
        await super().aclose()

    async def changes(self) -> AsyncGenerator[None]:
        """Tell of what other replicas have committed, and of a connection that is there again."""
        while True:
            news = _News(self._announcer)
            try:
                session = await self._address.connect()
            except StoreUnavailableError as error:
                _log.warning("%s; listening again in %.0f s", error, _RECONNECT)
                await self._clock.sleep(_RECONNECT)
                continue
            try:
                session.add_termination_listener(news.lost)
                await session.add_listener(self._address.channel, news.heard)
                yield
                while await news.wait():
                    yield
            except PostgresDatabase.errors as error:
                _log.warning("the store %s is not listened to: %s", self._address, error)
            finally:
                session.terminate()
            await self._clock.sleep(_RECONNECT)


class _News:
    """What the listening session has heard since it was last asked."""

    def __init__(self, replica: str) -> None:
        self._replica = replica
        self._event = anyio.Event()
        self._is_lost = False

    def heard(self, _session: Any, _process: int, _channel: str, announcer: object) -> None:
        if announcer != self._replica:
            self._event.set()

    def lost(self, _session: Any) -> None:
        self._is_lost = True
        self._event.set()

    async def wait(self) -> bool:
        """Return at the next news; False when the session is lost."""
        await self._event.wait()
        self._event = anyio.Event()
        return not self._is_lost


def migrate_schema(url: str, *, agent: str, now: int) -> tuple[Revision, ...]:
    """Make or migrate the schema of an agent, and return the steps that were missing; blocks for as long as it takes.

    Needs the right to create a schema in the database, the first time. Raises as `PostgresStore.open` does.
    """
    address = PostgresAddress(url, agent)
    database = PostgresDatabase(address, announcer="")
    try:
        database.begin()
        if database.execute("SELECT 1 FROM pg_namespace WHERE nspname = ?", (agent,)).fetchone() is None:
            database.execute(f"CREATE SCHEMA {address.schema}")  # a right that whoever finds it made does not need
        database.commit()
        return migrate(database, dialect="postgresql", now=now)
    except PostgresDatabase.errors as error:
        raise address.unavailable(error) from error
    finally:
        database.close()


def _prepare(database: PostgresDatabase, address: PostgresAddress, now: int) -> int:
    """Check the schema and whose it is; returns the epoch."""
    try:
        if missing(applied_steps(database, dialect="postgresql"), known_revisions()):
            raise UsageError(
                f"the store {address} lacks the schema of this release: "
                f"run `interlock store migrate {address.agent}` with the rights of its owner"
            )
        skew = database.execute("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").fetchone()
        assert skew is not None, "a select without a table has one row"
        if abs(skew[0] - now) > _TOLERATED_SKEW * 1_000_000:
            _log.warning("this clock and that of the store %s differ by %.1f s", address, (now - skew[0]) / 1e6)
        database.begin()
        epoch = owner.belong(database, agent=address.agent, now=now)
        database.commit()
    except BaseException as error:
        database.close()
        if isinstance(error, PostgresDatabase.errors) and not isinstance(error, StoreUnavailableError):
            raise address.unavailable(error) from error
        raise
    return epoch
