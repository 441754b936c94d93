"""Whether each login that the settings hold is accepted; it knows neither queues nor messages."""

from __future__ import annotations

__all__ = ["LoginsCheck"]

from collections.abc import Sequence

import anyio

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward
from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError
from interlock.bus.rabbitmq.administration import Administration

_PATIENCE = 8.0


class LoginsCheck:
    """Logs in as everyone whose password is here."""

    area = "logins"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Try all at once."""
        logins = ward.logins()
        if not logins:
            return [
                Finding.unknown(
                    "logins",
                    "broker_url's user is no agent, and broker.passwords is empty",
                    "run this where an agent's settings are, e.g. with its --config",
                )
            ]
        found: dict[str, Finding] = {}
        async with anyio.create_task_group() as tasks:
            for name, urls in logins.items():
                tasks.start_soon(_try, name, urls, ward, found)
        return [found[name] for name in logins]


async def _try(name: str, urls: tuple[str, ...], ward: Ward, found: dict[str, Finding]) -> None:
    try:
        async with Administration.open(urls, management=None, clock=ward.clock) as administration:
            await administration.version(timeout=_PATIENCE)
    except LoginRefusedError:
        advice = f"give {name}'s password as the broker has it, or load new ones: `interlock topology definitions`"
        found[name] = Finding.failed(name, "the broker refuses the password, or knows no such user", advice)
    except BrokerUnavailableError as error:
        found[name] = Finding.unknown(name, f"could not be tried: {error}", "see the broker above")
    else:
        found[name] = Finding.ok(name, "logs in")
