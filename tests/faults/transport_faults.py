"""Faults of the line and the broker, by name, and a plan of them that a seed decides."""

from __future__ import annotations

__all__ = ["HARMLESS_TO_BROKERS", "NAMES", "Faults", "plan_faults"]

import random
from collections.abc import Sequence

import anyio

from bus.tcp_proxy import TcpProxy
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import VHOST

HARMLESS_TO_BROKERS = ("reset", "cut to the broker", "cut to the clients", "short silence", "short freeze")
"""Those that take no more than a second or two."""

NAMES = (
    *HARMLESS_TO_BROKERS * 4,
    "long silence",
    "long freeze",
    "connections closed",
    "alarm",
    "restart",
    "kill",
)
"""All, each as often as it is likely."""

_BEYOND_HEARTBEATS = 8.0
"""Seconds: with a heartbeat of one, a connection is given up after six."""


def plan_faults(seed: int, names: Sequence[str], count: int) -> tuple[str, ...]:
    """Return this many faults; every name once before any comes by chance."""
    chance = random.Random(seed)
    kinds = sorted(set(names))
    chance.shuffle(kinds)
    return (*kinds, *chance.choices(names, k=max(0, count - len(kinds))))[:count]


class Faults:
    """Makes one fault at a time; it is over when `make` returns."""

    def __init__(self, broker: PrivateBroker, proxy: TcpProxy, *, seed: int) -> None:
        self._broker = broker
        self._proxy = proxy
        self._chance = random.Random(seed)

    async def make(self, name: str) -> None:
        match name:
            case "reset":
                self._proxy.reset()
            case "cut to the broker" | "cut to the clients":
                self._proxy.cut_after(self._chance.randrange(6_000), to_broker=name == "cut to the broker")
            case "short silence" | "long silence":
                self._proxy.silence()
                await anyio.sleep(_BEYOND_HEARTBEATS if name == "long silence" else self._chance.uniform(0.1, 1.0))
                self._proxy.restore()
            case "short freeze" | "long freeze":
                self._broker.freeze()
                await anyio.sleep(_BEYOND_HEARTBEATS if name == "long freeze" else self._chance.uniform(0.1, 1.0))
                self._broker.thaw()
            case "connections closed":
                await self._broker.control("close_all_connections", "--vhost", VHOST, "maintenance")
            case "alarm":
                await self._broker.control("set_vm_memory_high_watermark", "0")
                await anyio.sleep(self._chance.uniform(0.5, 10.0))
                await self._broker.control("set_vm_memory_high_watermark", "0.4")
            case "restart":
                await self._broker.restart()
            case "kill":
                await self._broker.kill()
                await self._broker.start()
            case _:
                raise ValueError(name)
