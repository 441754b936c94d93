"""Whether agents' stores can be read, by whom they are held, and what is late in them; it knows no content."""

from __future__ import annotations

__all__ = ["StoresCheck"]

import os
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward
from interlock.agents.settings import Settings
from interlock.bus.store.opening import is_shared, open_reader
from interlock.protocol.errors import InterlockError
from interlock.protocol.roles import ALL_ROLES, TEAM

_LATE = 60.0
"""Seconds after which something that should happen at once is late."""
_DEAD_COUNTED = 1_000
_LOCKS = Path("/proc/locks")


class StoresCheck:
    """Every SQLite file of `state_dir`, or the team's parts of a shared database."""

    area = "stores"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Read each, beside its owners."""
        agents = await anyio.to_thread.run_sync(_agents, ward.settings)
        if not agents:
            evidence = f"there is none in {ward.settings.state_dir}"
            return [Finding.unknown("stores", evidence, "run this where agents keep their stores, or set state_dir")]
        findings: list[Finding] = []
        for agent in agents:
            address = ward.settings.store_address(agent)
            findings += await anyio.to_thread.run_sync(partial(_look, agent, address, ward.clock.now()))
        return findings


def _agents(settings: Settings) -> tuple[str, ...]:
    if settings.store_url is not None:
        # A database user that is an agent's sees that agent's part alone.
        user = unquote(urlsplit(settings.store_url.get_secret_value()).username or "")
        return (user,) if user in ALL_ROLES else TEAM
    return tuple(sorted(file.stem for file in settings.state_dir.glob("*.sqlite")))


def _look(agent: str, address: str, now: datetime) -> list[Finding]:
    try:
        with open_reader(address, agent=agent) as reader:
            standing = reader.standing(now=now)
            dead = len(reader.dead(limit=_DEAD_COUNTED))
    except InterlockError as error:
        advice = "`interlock store check` and `interlock store migrate`, or start the agent with this release"
        return [Finding.failed(agent, str(error), advice)]
    owner = "the database" if is_shared(address) else _owner(Path(address))
    findings = []
    if dead:
        many = f"{dead} or more" if dead == _DEAD_COUNTED else str(dead)
        advice = f"see why and decide: `interlock dead list --agent {agent}`"
        findings.append(Finding.warning(agent, f"{many} messages were given up", advice))
    if standing.abandoned:
        evidence = f"the broker refused {standing.abandoned} messages of its outbox for good"
        findings.append(Finding.failed(agent, evidence, "see the permissions above, and the agent's log"))
    age = 0.0 if standing.oldest_unsent is None else (now - standing.oldest_unsent).total_seconds()
    if age > _LATE:
        evidence = f"{standing.unsent} messages wait to be sent, the oldest for {age:.0f} s"
        advice = "start the agent" if owner is None else "see the broker and the receivers' queues above"
        findings.append(Finding.failed(agent, evidence, advice))
    late = 0.0 if standing.oldest_overdue is None else (now - standing.oldest_overdue).total_seconds()
    if late > _LATE:
        evidence = f"{standing.overdue} timers are overdue, the oldest by {late:.0f} s: their workflows stand still"
        findings.append(Finding.failed(agent, evidence, f"start {agent}" if owner is None else f"see {agent}'s log"))
    if owner is None and (standing.waiting or standing.open_workflows):
        evidence = f"no process has it, {standing.waiting} messages and {standing.open_workflows} workflows wait"
        findings.append(Finding.warning(agent, evidence, f"start {agent}; what waits goes on"))
    if not findings:
        held = "no process has it, and nothing waits" if owner is None else f"{owner} has it"
        findings.append(Finding.ok(agent, f"{held}; {standing.open_workflows} workflows are open"))
    return findings


def _owner(file: Path) -> str | None:
    """Return the process that holds the store's lock; looking never takes the lock, not even for a moment."""
    lock = file.with_name(f"{file.name}.lock")
    if not lock.exists():
        return None
    named = lock.read_text("ascii").strip()
    if not _LOCKS.exists():  # no Linux: the lock names its last holder
        return f"process {named}" if _lives(named) else None
    held = {line.split()[5].rpartition(":")[2] for line in _LOCKS.read_text().splitlines() if " FLOCK " in line}
    return f"process {named}" if str(lock.stat().st_ino) in held else None


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
