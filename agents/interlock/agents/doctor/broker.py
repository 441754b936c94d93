"""Whether each node of the broker answers, in which version, and over what; it knows no agent."""

from __future__ import annotations

__all__ = ["BrokerCheck"]

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import anyio

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward
from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError
from interlock.bus.rabbitmq.administration import Administration
from interlock.protocol.errors import UsageError

_OLDEST = (3, 10)
_PATIENCE = 6.0
_HERE = {"localhost", "127.0.0.1", "::1"}


class BrokerCheck:
    """Each address of `broker_url` by itself."""

    area = "broker"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Connect to each at once."""
        try:
            urls = ward.any_urls()
        except UsageError as error:
            return [Finding.failed("address", str(error), "set broker_url, or start one with `interlock broker up`")]
        found: dict[str, list[Finding]] = {url: [] for url in urls}
        async with anyio.create_task_group() as tasks:
            for url, findings in found.items():
                tasks.start_soon(_look, url, ward, findings)
        return [finding for findings in found.values() for finding in findings]


async def _look(url: str, ward: Ward, findings: list[Finding]) -> None:
    parts = urlsplit(url)
    node = f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}"
    try:
        async with Administration.open([url], management=None, clock=ward.clock) as administration:
            text, version = await administration.version(timeout=_PATIENCE)
    except LoginRefusedError:
        findings.append(Finding.ok(node, "answers, but refuses the login: see below"))
        return
    except BrokerUnavailableError as error:
        findings.append(
            Finding.failed(node, str(error), "start the broker, or correct broker_url and its virtual host")
        )
        return
    if re.match(r"RabbitMQ \d", text) and version >= _OLDEST:
        findings.append(Finding.ok(node, f"{text} answers"))
    else:
        findings.append(Finding.failed(node, f"{text or 'an unnamed product'} answers", "use RabbitMQ 3.10 or later"))
    if parts.scheme == "amqp" and parts.hostname not in _HERE:
        findings.append(
            Finding.warning(f"{node} encryption", "passwords and messages travel in the clear", "use amqps://")
        )
