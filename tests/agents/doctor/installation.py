"""A whole installation for the doctor to look at: a managed broker with the team's users, and stores in a folder."""

from __future__ import annotations

__all__ = ["Installation"]

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel

from interlock.agents.doctor import Check, Examination, Finding, Ward, examine
from interlock.agents.settings import Settings
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, VHOST, Definitions, RabbitTransport
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.roles import ALL_ROLES

TOPOLOGY = Topology(tuple(AgentQueue(name) for name in ALL_ROLES))


@dataclass(frozen=True, slots=True)
class Installation:
    broker: PrivateBroker
    users: Definitions
    channel: AbstractChannel
    folder: Path

    @classmethod
    @asynccontextmanager
    async def open(cls, broker: PrivateBroker, users: Definitions, folder: Path) -> AsyncGenerator[Installation]:
        admin = await RabbitTransport.connect(broker.url(), identity=ADMIN, journal=False)
        await admin.declare(TOPOLOGY)
        await admin.aclose()
        async with await aio_pika.connect(broker.url()) as connection, connection.channel() as channel:
            yield cls(broker, users, channel, folder)

    def settings(self, *, management: bool = True, **changes: Any) -> Settings:
        broker: dict[str, Any] = {
            "passwords": {name: word for name, word in self.users.passwords.items() if name != ADMIN},
            **({"management_url": self.broker.management_url()} if management else {}),
            **changes.pop("broker", {}),
        }
        url = f"amqp://127.0.0.1:{self.broker.port}/{VHOST}"
        return Settings.load({"broker_url": url, "broker": broker, "state_dir": self.folder, **changes})

    async def look(
        self, check: Check, settings: Settings | None = None, *, clock: Clock | None = None, listening: float = 0.0
    ) -> list[Finding]:
        """Return one check's findings."""
        (examination,) = await self.examine([check], settings, clock=clock, listening=listening)
        return list(examination.findings)

    async def examine(
        self,
        checks: Sequence[Check],
        settings: Settings | None = None,
        *,
        clock: Clock | None = None,
        listening: float = 0.0,
    ) -> tuple[Examination, ...]:
        ward = Ward(settings or self.settings(), catalogue=CATALOGUE, clock=clock or SystemClock(), listening=listening)
        return await examine(ward, checks=checks, patience=40.0)
