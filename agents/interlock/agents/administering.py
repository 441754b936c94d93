"""Opens the administration of the broker that the settings lead to; it knows logins, not topologies."""

from __future__ import annotations

__all__ = ["administration_of", "management_of"]

from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

from interlock.agents.settings import Settings
from interlock.bus.clock import Clock
from interlock.bus.rabbitmq.administration import Administration, vhost_of
from interlock.bus.rabbitmq.definitions import ADMIN
from interlock.bus.rabbitmq.management import Management


def administration_of(settings: Settings, *, clock: Clock) -> AbstractAsyncContextManager[Administration]:
    """Open it as the administrator of the settings, else as whoever the broker's URL names.

    Raises UsageError when no broker is set, or a URL is malformed.
    """
    return Administration.open(settings.administrator_urls(ADMIN), management=management_of(settings), clock=clock)


def management_of(settings: Settings) -> Management | None:
    """Return the management API of the settings; None when none is set.

    Who logs in is in the URL, else the administrator, with the password that the settings have for it. Raises
    UsageError for a malformed URL.
    """
    broker = settings.broker
    if broker.management_url is None:
        return None
    url = broker.management_url.get_secret_value()
    named = urlsplit(url).username is not None
    password = broker.passwords.get(ADMIN)
    token = broker.management_token
    addresses = settings.broker_url
    return Management(
        url,
        vhost=vhost_of(addresses[0].get_secret_value()) if addresses else "/",
        user=None if named else ADMIN,
        password=None if named or password is None else password.get_secret_value(),
        token=None if token is None else token.get_secret_value(),
        ca_file=broker.management_ca_file,
    )
