"""What an outbox holds arrives once and in order, whatever happens to the line and the broker in between.

The oracle is what the receiver's database file holds in the end, read by `sqlite3`, against what was committed. It
runs for as many faults as `INTERLOCK_TRANSPORT_FAULTS` says: 300 take about ten minutes.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from bus.harness import AGENTS, ALLOWED, outgoing
from bus.tcp_proxy import TcpProxy
from faults.transport_faults import HARMLESS_TO_BROKERS, NAMES, Faults, plan_faults
from interlock.bus.clock import SystemClock
from interlock.bus.errors import BrokerUnavailableError, UnconfirmedError
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.relay import Backoff, Relay
from interlock.bus.store.records import Commit, InboxMessage, OutboxMessage
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.ids import new_id

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.slow,
    pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server is installed"),
]

CONVERSATIONS = 20
FAULTS = int(os.environ.get("INTERLOCK_TRANSPORT_FAULTS", "5"))
SEED = int(os.environ.get("INTERLOCK_TRANSPORT_SEED", "4"))
SIZES = (2, 200, 3_000, 40_000, 140_000)
"""Bytes of bodies: less than a frame, and more."""
RECOVERY = 60.0
"""Seconds within which traffic flows again, and everything has arrived in the end."""


class Soak:
    """One sender with an outbox, one receiver with an inbox, and publishes that no store remembers beside them."""

    def __init__(self, folder: Path, broker: PrivateBroker, proxy: TcpProxy, *, seed: int) -> None:
        self.committed: dict[str, list[str]] = {}
        self._conversations: dict[str, str] = {}
        self.confirmed: set[bytes] = set()
        self.arrived: set[bytes] = set()
        self.inbox = folder / "beta.sqlite"
        self._outbox = folder / "alpha.sqlite"
        self._broker = broker
        self._proxy = proxy
        self._chance = random.Random(seed)
        self._subscriber = anyio.CancelScope()

    async def connect(self, agent: str) -> RabbitTransport:
        url = self._broker.url(agent).replace(str(self._broker.port), str(self._proxy.port))
        return await RabbitTransport.connect(url, identity=agent, heartbeat=1, watch=0.2, timeout=RECOVERY)

    async def run(self, faults: Faults, plan: tuple[str, ...]) -> None:
        """Send while the faults come, and return when everything has arrived."""
        clock = SystemClock()
        before = after = footprint()
        async with (
            aclosing(await SqliteStore.open(self._outbox, agent="alpha-agent", clock=clock)) as outbox,
            aclosing(await SqliteStore.open(self.inbox, agent="beta-agent", clock=clock)) as inbox,
        ):
            alpha, beta = await self.connect("alpha-agent"), await self.connect("beta-agent")
            relay = Relay(outbox, alpha, clock=clock, identity="alpha-agent", backoff=Backoff(first=0.05, longest=0.5))
            async with anyio.create_task_group() as group:
                group.start_soon(relay.run)
                group.start_soon(self._receive, beta, inbox)
                async with anyio.create_task_group() as sending:
                    sending.start_soon(self._commit, outbox, relay)
                    for publisher in range(4):
                        sending.start_soon(self._publish, alpha, publisher)
                    await self._flows()
                    before = footprint()
                    for name in plan:
                        await faults.make(name)
                        if self._chance.random() < 0.3:
                            self._subscriber.cancel()
                        await self._flows()
                    after = footprint()
                    sending.cancel_scope.cancel()
                with anyio.fail_after(RECOVERY):
                    assert await relay.drain(datetime.max.replace(tzinfo=UTC)) == 0
                    expected = self.confirmed | {each.encode() for ids in self.committed.values() for each in ids}
                    while not expected <= self.arrived:  # noqa: ASYNC110 - what comes twice tells nobody
                        await anyio.sleep(0.05)
                group.cancel_scope.cancel()
            await alpha.aclose()
            await beta.aclose()
        own = (len(self._conversations) + len(self.confirmed)) * BOOKKEEPING // 2**20
        for what, grown in {key: after[key] - before[key] for key in before}.items():
            assert grown <= GROWTH[what] + (own if what == "megabytes" else 0), (
                f"{what} grew by {grown}: {before} to {after}"
            )

    async def _flows(self) -> None:
        """Return once more has been confirmed, and what was confirmed has arrived."""
        with anyio.fail_after(RECOVERY):
            confirmed = len(self.confirmed)
            while len(self.confirmed) < confirmed + 20:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.02)
            latest = set(self.confirmed)
            while not latest <= self.arrived:  # noqa: ASYNC110 - as above
                await anyio.sleep(0.02)

    async def _commit(self, outbox: SqliteStore, relay: Relay) -> None:
        while True:
            messages: list[OutboxMessage] = []
            for _ in range(10):
                conversation, message_id = f"c{self._chance.randrange(CONVERSATIONS)}", new_id()
                self.committed.setdefault(conversation, []).append(message_id)
                self._conversations[message_id] = conversation
                body = message_id.encode().ljust(self._chance.choice(SIZES))
                messages.append(OutboxMessage(message_id, "beta-agent", "ping", conversation, body, datetime.now(UTC)))
            await outbox.commit(Commit(outgoing=tuple(messages)))
            relay.wake()
            await anyio.sleep(0.05)

    async def _publish(self, alpha: RabbitTransport, publisher: int) -> None:
        """Publish without a store; some callers lose their patience."""
        number = 0
        while True:
            number += 1
            body = b"direct %d.%d" % (publisher, number)
            with suppress(UnconfirmedError, BrokerUnavailableError), anyio.move_on_after(self._patience()):
                await alpha.publish(outgoing(body), timeout=5.0)
                self.confirmed.add(body)
            await anyio.sleep(0.01)

    def _patience(self) -> float:
        return self._chance.uniform(0.0, 0.02) if self._chance.random() < 0.1 else RECOVERY

    async def _receive(self, beta: RabbitTransport, inbox: SqliteStore) -> None:
        """Take in and acknowledge, as an agent does; now and then the subscriber begins anew, in the midst of it."""
        while True:
            with anyio.CancelScope() as self._subscriber:
                async with beta.consume(prefetch=50) as deliveries:
                    async for delivery in deliveries:
                        text = delivery.body.rstrip()
                        if not text.startswith(b"direct"):
                            await inbox.receive(self._taken(text.decode()))
                        await delivery.ack()
                        self.arrived.add(text)

    def _taken(self, message_id: str) -> InboxMessage:
        conversation = self._conversations[message_id]
        return InboxMessage(message_id, "alpha-agent", "ping", conversation, b"{}", datetime.now(UTC))


GROWTH = {"tasks": 10, "files": 4, "megabytes": 40}
"""What may come and go between two looks."""
BOOKKEEPING = 500
"""Bytes that this test itself keeps of each message."""


def footprint() -> dict[str, int]:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "tasks": len(asyncio.all_tasks()),
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "megabytes": pages * os.sysconf("SC_PAGE_SIZE") // 2**20,
    }


async def test_what_was_committed_arrives_once_and_in_order_whatever_happens(tmp_path: Path) -> None:
    plan = plan_faults(SEED, HARMLESS_TO_BROKERS if FAULTS <= 5 else NAMES, FAULTS)
    async with (
        PrivateBroker(tmp_path / "broker", definitions=definitions(ALLOWED, observers=AGENTS)) as broker,
        TcpProxy.to(broker.port) as proxy,
    ):
        admin = await RabbitTransport.connect(broker.url(), identity=ADMIN)
        await admin.declare(Topology((AgentQueue("beta-agent"),)))
        await admin.aclose()
        # RabbitMQ 3.10 lost confirmed messages of queues that were killed within a second of their declaration.
        await anyio.sleep(2.0)
        soak = Soak(tmp_path, broker, proxy, seed=SEED)
        await soak.run(Faults(broker, proxy, seed=SEED), plan)

    with sqlite3.connect(soak.inbox) as database:
        rows = database.execute("SELECT message_id, conversation_id FROM inbox ORDER BY seq").fetchall()
    taken: dict[str, list[str]] = {}
    for message_id, conversation in rows:
        taken.setdefault(conversation, []).append(message_id)
    assert taken == soak.committed
    assert soak.confirmed <= soak.arrived
    database.close()
