"""Two messages for the bus's own tests: what one asks, and what it is answered."""

from __future__ import annotations

__all__ = ["PLAYGROUND", "Ping", "Pong"]

from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.message import ANY, Reply, Request, Route

_AGENTS = ("alpha-agent", "beta-agent")


class Pong(Reply, type="pong", route=Route.of(ANY, ANY)):
    """Answers a ping."""

    number: int


class Ping(Request, type="ping", route=Route.of(_AGENTS, _AGENTS), replies=(Pong,), deadline=5.0):
    """Asks for a pong."""

    number: int


PLAYGROUND = CATALOGUE.with_messages(Ping, Pong)
