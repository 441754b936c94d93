"""Finds a RabbitMQ for a test session: one that is named, a private one, or a container; it decides nothing else."""

from __future__ import annotations

__all__ = ["ADDRESS", "RabbitServer", "find_rabbitmq"]

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import anyio

from interlock.agents.permissions import allowed_rows
from interlock.agents.settings import Settings
from interlock.agents.testing.broker import RabbitForTests
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import ADMIN, VHOST, Definitions, RabbitTransport, definitions
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import UsageError

ADDRESS = "INTERLOCK_TEST_BROKER_URL"
"""The environment variable that names a broker for tests."""

_IMAGE = "rabbitmq:4-alpine"
_PORT = 5672
_DEFINITIONS = "/etc/rabbitmq/definitions.json"
_CONFIGURATION = f"load_definitions = {_DEFINITIONS}\n"
_START = 60.0
"""Seconds until a container has to accept connections."""

MISSING = (
    "this test needs a RabbitMQ, and there is none: install rabbitmq-server (`apt-get install rabbitmq-server`), or "
    f"testcontainers with a Docker engine, or name a broker for tests in {ADDRESS}"
)


@dataclass(frozen=True, slots=True)
class RabbitServer:
    """A broker with a user for every agent of the installed catalogue, shared by a test session."""

    url: Callable[[str], str] = field(repr=False)
    """Gives an agent's URL, with credentials. Secret."""
    admin: str = field(repr=False)
    """The URL of the user who may declare and delete queues. Secret."""

    def for_test(self) -> RabbitForTests:
        """Return the broker as one test uses it, which closes it."""
        return RabbitForTests(self.url, admin=self.admin)


@asynccontextmanager
async def find_rabbitmq(directory: Path) -> AsyncGenerator[RabbitServer]:
    """Give a broker for the length of the context: the named one, else a private process, else a container.

    A named one is given by the URL of a user with configure rights; the agents' passwords are those of
    `[broker.passwords]` in the settings. Raises UsageError when there is none, with what to install.
    """
    address = os.environ.get(ADDRESS)
    if address:
        yield _named(address)
        return
    catalogue = installed_catalogue()
    agents = sorted(catalogue.agents())
    users = definitions(allowed_rows(agents, catalogue=catalogue), observers=agents)
    if find_server() is not None:
        async with PrivateBroker(directory, definitions=users) as broker:
            yield RabbitServer(broker.url, broker.url())
        return
    async with _contained(directory, users) as server:
        yield server


def _named(address: str) -> RabbitServer:
    parts = urlsplit(address)
    if parts.scheme not in {"amqp", "amqps"} or parts.username is None:
        raise UsageError(f"{ADDRESS} must be an amqp:// or amqps:// URL with a user who may declare queues")
    plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    settings = Settings.load({"broker_url": [plain]})
    return RabbitServer(lambda agent: settings.broker_urls(agent)[0], address)


@asynccontextmanager
async def _contained(directory: Path, users: Definitions) -> AsyncGenerator[RabbitServer]:
    """Start RabbitMQ in a container, which loads the definitions that are mounted into it."""
    try:
        from docker.errors import DockerException
        from testcontainers.core.container import DockerContainer
    except ImportError as error:
        raise UsageError(MISSING) from error

    def start() -> DockerContainer:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "definitions.json").write_text(users.to_json(), encoding="utf-8")
        (directory / "interlock.conf").write_text(_CONFIGURATION, encoding="utf-8")
        container = DockerContainer(_IMAGE).with_exposed_ports(_PORT)
        container.with_volume_mapping(str(directory / "definitions.json"), _DEFINITIONS)
        container.with_volume_mapping(str(directory / "interlock.conf"), "/etc/rabbitmq/conf.d/20-interlock.conf")
        return container.start()

    try:
        container = await anyio.to_thread.run_sync(start)
    except (DockerException, OSError) as error:
        raise UsageError(f"{MISSING} (no container was started: {type(error).__name__})") from error
    try:
        place = f"{container.get_container_host_ip()}:{container.get_exposed_port(_PORT)}/{quote(VHOST)}"

        def url(user: str) -> str:
            return f"amqp://{quote(user)}:{quote(users.passwords[user])}@{place}"

        ready = await RabbitTransport.connect(url(ADMIN), identity=ADMIN, journal=False, timeout=_START)
        await ready.aclose()
        yield RabbitServer(url, url(ADMIN))
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(container.stop)
