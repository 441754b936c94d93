"""Who is heard: heartbeats of agents, and how far their clocks are from this one; it knows no queue."""

from __future__ import annotations

__all__ = ["PresenceCheck"]

from collections.abc import Sequence

import anyio

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward
from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.transport import RabbitTransport
from interlock.protocol.codec import decode
from interlock.protocol.errors import InterlockError, InvalidMessageError
from interlock.protocol.message import ALL
from interlock.protocol.messages.presence import AgentHeartbeat, AgentOffline
from interlock.protocol.roles import CONSOLE, TEAM

_CONNECT = 5.0
_ENOUGH = 0.25
"""Of the interval: what a heartbeat may be late by without being missing."""
_SKEW_WARNING, _SKEW_FAILED = 2.0, 30.0
"""Seconds. Deadlines and approvals are moments: clocks that are apart let them pass at the wrong time."""


class PresenceCheck:
    """Listens for a while."""

    area = "agents"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Follow the copies of announcements; nothing but a queue of the console's own is made, and it vanishes."""
        if not ward.listening:
            return [Finding.unknown("heartbeats", "were not listened for", "give --listen SECONDS")]
        urls = ward.urls(CONSOLE)
        if urls is None:
            return [
                Finding.unknown(
                    "heartbeats",
                    "hearing them takes the console's login, which is not here",
                    f"give broker.passwords.{CONSOLE}",
                )
            ]
        beats: dict[str, float] = {}
        left: set[str] = set()
        try:
            await self._listen(urls, ward, beats, left)
        except (BrokerUnavailableError, NotPermittedError) as error:
            return [Finding.unknown("heartbeats", f"could not be listened for: {error}", "see the broker above")]
        findings = [_clock(name, skew) for name, skew in sorted(beats.items())]
        long_enough = ward.listening >= ward.settings.runtime.heartbeat * (1 + _ENOUGH)
        # Who takes nothing from its queue does not run, as its queue's finding says already.
        working = await _taking(ward)
        silent = (name for name in TEAM if name not in beats and name in working)
        findings += [_silent(name, ward.listening, said_so=name in left, long_enough=long_enough) for name in silent]
        return findings or [Finding.ok("heartbeats", "nobody is silent who takes messages")]

    async def _listen(self, urls: tuple[str, ...], ward: Ward, beats: dict[str, float], left: set[str]) -> None:
        transport = await RabbitTransport.connect(
            urls, identity=CONSOLE, clock=ward.clock, journal=False, timeout=_CONNECT
        )
        try:
            async with transport.observe(f"{ALL}.*") as deliveries:
                with anyio.move_on_after(ward.listening):
                    async for delivery in deliveries:
                        try:
                            envelope = decode(delivery.body, catalogue=ward.catalogue)
                        except InvalidMessageError:
                            continue
                        if isinstance(envelope.payload, AgentHeartbeat):
                            beats[envelope.sender] = (ward.clock.now() - envelope.sent_at).total_seconds()
                            if beats.keys() >= set(TEAM):
                                return
                        elif isinstance(envelope.payload, AgentOffline):
                            left.add(envelope.sender)
        finally:
            with anyio.CancelScope(shield=True):
                await transport.aclose()


async def _taking(ward: Ward) -> set[str]:
    """Return whose queue has a consumer; everybody, where that cannot be seen."""
    try:
        seen = await ward.observation()
    except InterlockError:
        return set(TEAM)
    return {name for name in TEAM if (queue := seen.queues.get(name)) is None or queue.consumers != 0}


def _clock(name: str, skew: float) -> Finding:
    size = abs(skew)
    if size < _SKEW_WARNING:
        return Finding.ok(name, f"was heard; its clock and this one are within {_SKEW_WARNING:g} s")
    evidence = f"was heard; its clock is {size:.0f} s {'behind' if skew > 0 else 'ahead of'} this one"
    advice = "have both machines keep the time (NTP): deadlines and approvals are moments"
    return Finding.failed(name, evidence, advice) if size >= _SKEW_FAILED else Finding.warning(name, evidence, advice)


def _silent(name: str, seconds: float, *, said_so: bool, long_enough: bool) -> Finding:
    if said_so:
        return Finding.warning(name, "has just said that it ends", f"start it again: `interlock run {name}`")
    if not long_enough:
        evidence = f"was not heard, but {seconds:g} s may have been too short"
        return Finding.unknown(name, evidence, "listen longer: --listen, at least 1.25 x runtime.heartbeat")
    advice = f"its process may hang, or a network between may have parted: see {name}'s log, restart it"
    return Finding.failed(name, f"takes messages, but no heartbeat came in {seconds:g} s", advice)
