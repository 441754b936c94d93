"""The store of an agent's replicas in PostgreSQL: opening it, and hearing of each other; statements live elsewhere."""

from __future__ import annotations

__all__ = ["PostgresStore", "migrate_schema"]

import contextlib
import logging
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Self

import anyio
import anyio.to_thread

from interlock.bus.clock import Clock
from interlock.bus.store import consequences, inbox, outbox, owner
from interlock.bus.store.database import Connection, StoreUnavailableError
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.news import News
from interlock.bus.store.postgres import at_once, claiming, together
from interlock.bus.store.postgres.address import PostgresAddress
from interlock.bus.store.postgres.database import PostgresDatabase
from interlock.bus.store.records import Claim, Commit, InboxMessage, OutboxMessage, Receipt, Taken
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
        self._leads_until = 0
        """Until when this replica publishes the outbox, by what it has written; in microseconds."""
        self._follows_until = 0
        """Until when another one does, unless that one leaves."""

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
        return await self._run(lambda db, _: inbox.receive(db, message), news=News.WORK, part=lambda _: part)

    async def take_in(self, messages: Sequence[InboxMessage], *, limit: int, lease: float) -> Taken:
        """Take messages in and lease what is due, sharing the statements with others that do so at the same time."""
        micros = round(lease * 1_000_000)
        return await self._run(
            lambda db, now: together.take_in(db, [together.TakingIn(messages, limit, micros, now)])[0],
            news=lambda taken: _left_for_others(messages, taken),
            part=lambda now: Part(together.take_in, together.TakingIn(messages, limit, micros, now)),
        )

    async def claim(self, *, limit: int, lease: float) -> tuple[Claim, ...]:
        """Lease what is due; several wishes at the same time share the statements."""
        micros = round(lease * 1_000_000)
        return await self._run(
            lambda db, now: claiming.claim(db, limit=limit, until=now + micros, now=now),
            part=lambda now: Part(together.claim, together.Claiming(limit, micros, now)),
        )

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> tuple[Claim, ...]:
        """Prolong leases, all of them in one statement."""
        micros = round(lease * 1_000_000)
        return await self._run(
            lambda db, now: together.renew(db, [together.Renewing(claims, now + micros)])[0],
            part=lambda now: Part(together.renew, together.Renewing(claims, now + micros), together.renew),
            manner="beside",
        )

    async def finish(self, claim: Claim, commit: Commit) -> None:
        """End the message well; it shares the statements for inbox and outbox with others."""

        def finish(db: Connection, now: int) -> None:
            if inbox.finish(db, claim, now=now):
                consequences.write(db, commit, now=now)

        only_sends = _only_sends(commit)
        news = News.NOTHING
        if claim.followed:
            news |= News.WORK
        if commit.outgoing and self._leads_until <= to_micros(self._clock.now()):
            news |= News.OUTGOING
        await self._run(
            finish,
            news=news if only_sends else News.ALL,
            part=lambda now: Part(
                together.finish, together.Finishing(claim, commit, now), at_once.finish if only_sends else None
            ),
            manner="beside" if only_sends else "alone",
        )

    async def mark_sent(self, message_ids: Sequence[str]) -> None:
        """Record confirms, those of several calls in one statement."""
        await self._run(
            lambda db, now: together.mark_sent(db, [together.Sending(message_ids, now)])[0],
            part=lambda now: Part(together.mark_sent, together.Sending(message_ids, now), together.mark_sent),
            manner="beside",
        )

    async def unsent(self, *, limit: int) -> tuple[OutboxMessage, ...]:
        """List what may be published by this replica: nothing while another one does."""
        now = to_micros(self._clock.now())
        if self._follows_until > now:
            return ()
        if self._leads_until - now > owner.LEADERSHIP // 2:
            return await super().unsent(limit=limit)
        waiting, self._leads_until, self._follows_until = await self._run(
            lambda db, now: _unsent(db, limit=limit, replica=self._announcer, now=now), manner="beside"
        )
        return waiting

    async def next_unsent_due(self) -> datetime | None:
        """Look ahead for who publishes; who does not looks when the other one has been silent."""
        if self._follows_until > to_micros(self._clock.now()):
            return from_micros(self._follows_until)
        return await super().next_unsent_due()

    async def aclose(self) -> None:
        """Write what is queued, leave the outbox to another replica, and end the session."""
        with contextlib.suppress(StoreUnavailableError):  # it is away: the others wait until this one has been silent
            await self._run(lambda db, _: owner.resign(db, replica=self._announcer), news=News.VACANCY)
        await super().aclose()

    async def changes(self) -> AsyncGenerator[News]:
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
                yield News.ALL
                while heard := await news.wait():
                    if News.VACANCY in heard:
                        self._follows_until = 0
                    yield heard
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
        self._news = News.NOTHING
        self._is_lost = False

    def heard(self, _session: Any, _process: int, _channel: str, payload: object) -> None:
        announcer, _, news = str(payload).partition(" ")
        if announcer != self._replica:
            self._news |= News(int(news)) if news.isdecimal() else News.ALL  # an older release names itself alone
            self._event.set()

    def lost(self, _session: Any) -> None:
        self._is_lost = True
        self._event.set()

    async def wait(self) -> News:
        """Return at the next news with all that were heard; with none when the session is lost."""
        await self._event.wait()
        self._event = anyio.Event()
        heard, self._news = self._news, News.NOTHING
        return News.NOTHING if self._is_lost else heard


def _left_for_others(messages: Sequence[InboxMessage], taken: Taken) -> News:
    """Return what others are told of messages that were taken in: nothing, when all that is new was leased with it."""
    leased = {held.message.message_id for held in taken.claims}
    new = (m.message_id for m, receipt in zip(messages, taken.receipts, strict=True) if receipt is Receipt.NEW)
    return News.NOTHING if leased.issuperset(new) else News.WORK


def _only_sends(commit: Commit) -> bool:
    """Return whether a commit writes nothing but outgoing messages: rows that are nobody else's."""
    return not (commit.workflow or commit.approvals or commit.set_timers or commit.cancel_timers or commit.audit)


def _unsent(
    connection: Connection, *, limit: int, replica: str, now: int
) -> tuple[tuple[OutboxMessage, ...], int, int]:
    """Return what may be published, and until when this replica or another one publishes it."""
    waiting = outbox.unsent(connection, limit=limit, now=now)
    if not waiting:
        return (), 0, 0
    if owner.leads(connection, replica=replica, now=now):
        return waiting, now + owner.LEADERSHIP, 0
    return (), 0, owner.led_until(connection, replica=replica) or 0


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
