"""Runs all checks at once, each within a bound, and says what they came to; it knows no check's subject."""

from __future__ import annotations

__all__ = ["CHECKS", "Examination", "examine"]

from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from interlock.agents.doctor.alarms import AlarmsCheck
from interlock.agents.doctor.broker import BrokerCheck
from interlock.agents.doctor.check import Check
from interlock.agents.doctor.finding import Finding, Verdict
from interlock.agents.doctor.logins import LoginsCheck
from interlock.agents.doctor.permissions import PermissionsCheck
from interlock.agents.doctor.presence import PresenceCheck
from interlock.agents.doctor.queues import QueuesCheck
from interlock.agents.doctor.stores import StoresCheck
from interlock.agents.doctor.topology import TopologyCheck
from interlock.agents.doctor.ward import Ward
from interlock.protocol.errors import InterlockError

CHECKS: tuple[Check, ...] = (
    BrokerCheck(),
    LoginsCheck(),
    AlarmsCheck(),
    PermissionsCheck(),
    TopologyCheck(),
    QueuesCheck(),
    StoresCheck(),
    PresenceCheck(),
)
"""In the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What one check came to."""

    area: str
    findings: tuple[Finding, ...]

    @property
    def has_failed(self) -> bool:
        """Whether something does not work."""
        return any(finding.verdict is Verdict.FAILED for finding in self.findings)


async def examine(ward: Ward, *, checks: Sequence[Check] = CHECKS, patience: float = 14.0) -> tuple[Examination, ...]:
    """Return every check's findings, in the order of the checks, after at most `patience` seconds.

    A check that raises an error of ours, or does not end, has one finding: that it could not be made.
    """
    found: dict[int, tuple[Finding, ...]] = {}
    with anyio.move_on_after(patience):
        async with anyio.create_task_group() as tasks:
            for number, check in enumerate(checks):
                tasks.start_soon(_run, check, ward, number, found)
    late = (Finding.unknown("the check", f"it did not end within {patience:g} s", "look at what the others say first"),)
    return tuple(Examination(check.area, found.get(number, late)) for number, check in enumerate(checks))


async def _run(check: Check, ward: Ward, number: int, found: dict[int, tuple[Finding, ...]]) -> None:
    try:
        found[number] = tuple(await check.look(ward))
    except InterlockError as error:
        found[number] = (Finding.unknown("the check", f"it could not be made: {error}"),)
