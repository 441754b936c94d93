"""What checks look at and with which logins; it judges nothing, and opens only what somebody asks for."""

from __future__ import annotations

__all__ = ["Ward"]

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

import anyio

from interlock.agents.administering import management_of
from interlock.agents.blueprint import announcements, intended_topology
from interlock.agents.settings import Settings
from interlock.bus.clock import Clock
from interlock.bus.rabbitmq.administration import Administration
from interlock.bus.rabbitmq.definitions import ADMIN
from interlock.bus.rabbitmq.drift import Drift, compare
from interlock.bus.rabbitmq.management import Management
from interlock.bus.rabbitmq.observation import Observation
from interlock.bus.rabbitmq.topology import Plan
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.errors import InterlockError, UsageError
from interlock.protocol.roles import ALL_ROLES, CONSOLE


class Ward:
    """One installation as its settings describe it. The broker's state is looked at once, whoever asks first."""

    def __init__(self, settings: Settings, *, catalogue: Catalogue, clock: Clock, listening: float) -> None:
        """`listening` is for how many seconds heartbeats are waited for."""
        self.settings = settings
        self.catalogue = catalogue
        self.clock = clock
        self.listening = listening
        self._lock = anyio.Lock()
        self._seen: tuple[Plan, Observation] | InterlockError | None = None

    @property
    def agents(self) -> tuple[str, ...]:
        """Everyone who should have a queue, by name."""
        return tuple(sorted({*ALL_ROLES, *self.catalogue.agents(), *self.settings.topology.agents}))

    @property
    def management(self) -> Management | None:
        """The management API; None when the settings name none. Raises UsageError for a malformed URL."""
        return management_of(self.settings)

    def urls(self, name: str) -> tuple[str, ...] | None:
        """Return the addresses with this name's login in them, or None when there is no such login here. Secret.

        Raises UsageError when no broker is set.
        """
        urls = self.settings.administrator_urls(name) if name == ADMIN else self.settings.broker_urls(name)
        return urls if unquote(urlsplit(urls[0]).username or "guest") == name else None

    def logins(self) -> Mapping[str, tuple[str, ...]]:
        """Return every login that is here, whoever may declare first, then the console. Secret."""
        names = (ADMIN, CONSOLE, *self.agents)
        return {name: urls for name in names if (urls := self.urls(name)) is not None}

    def any_urls(self) -> tuple[str, ...]:
        """Return addresses with whichever login can see most. Secret."""
        return next(iter(self.logins().values()), None) or self.settings.broker_urls(ADMIN)

    async def observation(self) -> Observation:
        """Return what the broker holds. Raises BrokerUnavailableError, NotPermittedError, UsageError."""
        return (await self._look())[1]

    async def drift(self) -> Drift:
        """Return how that differs from what it should hold; raises as `observation` does."""
        planned, seen = await self._look()
        return compare(planned, seen, announcements=announcements(self.catalogue))

    async def _look(self) -> tuple[Plan, Observation]:
        async with self._lock:
            if self._seen is None:
                try:
                    self._seen = await self._look_once()
                except InterlockError as error:
                    self._seen = error  # everybody else who asks gets the same answer, at once
        if isinstance(self._seen, InterlockError):
            raise self._seen
        return self._seen

    async def _look_once(self) -> tuple[Plan, Observation]:
        if not self.settings.broker_url:
            raise UsageError("no broker is set")
        async with Administration.open(self.any_urls(), management=self.management, clock=self.clock) as administration:
            planned = await administration.planned(intended_topology(self.agents, self.settings.topology))
            return planned, await administration.observe(planned)
