"""What a message class says about itself; it knows neither bytes nor brokers."""

from __future__ import annotations

__all__ = [
    "ALL",
    "ANY",
    "Declaration",
    "Effect",
    "Event",
    "Message",
    "Reply",
    "Request",
    "Route",
    "Upcast",
    "days",
    "hours",
    "minutes",
]

import builtins
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from interlock.protocol.errors import UsageError
from interlock.protocol.values import Value

ANY = "*"
"""In a route: any agent."""

Upcast: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns a payload of the version before, as it stood on the wire, into one of this version; pure, and total over all
payloads that were valid then. It may change and return what it is given."""

ALL = "all"
"""The address of announcements: a copy for every agent that asked for the type, and no error when none did."""


def minutes(count: float) -> float:
    """Return seconds."""
    return count * 60.0


def hours(count: float) -> float:
    """Return seconds."""
    return count * 3600.0


def days(count: float) -> float:
    """Return seconds."""
    return count * 86400.0


class Effect(StrEnum):
    """How dangerous it is to carry a request out; gates follow from it."""

    READ = "read"
    REVERSIBLE = "reversible"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Route:
    """Who may send a type to whom; `*` is any agent. Broker permissions are generated from it."""

    senders: frozenset[str]
    receivers: frozenset[str]

    @classmethod
    def of(cls, senders: str | Iterable[str], receivers: str | Iterable[str]) -> Route:
        """Build a route from one name or several on either side."""
        return cls(_names(senders), _names(receivers))

    def allows(self, sender: str, receiver: str) -> bool:
        """Return whether this sender may send to this receiver."""
        return (sender in self.senders or ANY in self.senders) and (receiver in self.receivers or ANY in self.receivers)


def _names(names: str | Iterable[str]) -> frozenset[str]:
    return frozenset((names,) if isinstance(names, str) else names)


@dataclass(frozen=True, slots=True)
class Declaration:
    """Everything that a message class says about itself, given as keywords of its class statement."""

    type: str
    """The wire name, e.g. `infrastructure_ready`; never renamed once released."""
    version: int
    """Raised only for an incompatible change; both versions are then in the catalogue."""
    route: Route
    effect: Effect
    replies: tuple[builtins.type[Message], ...]
    """For a request: what may answer it, beside the task life cycle."""
    deadline: float | None
    """For a request: seconds within which it must have ended, unless the sender says otherwise."""
    upcast: Upcast | None = None
    """From version 2 on: how a payload of the version before becomes one of this; None: it can not."""
    example: Mapping[str, Any] | None = None
    """A payload as on the wire, for the documents; None: one is made from the fields' own examples."""


class Message(Value):
    """The payload of an envelope. A concrete class declares its wire name and everything that follows from it.

    Construct with snake_case names; unknown names are refused (the strict sender). Receiving drops unknown names.
    """

    declaration: ClassVar[Declaration]

    def __init_subclass__(
        cls,
        *,
        type: str | None = None,  # noqa: A002 - reads as the wire field that it sets
        version: int = 1,
        route: Route | None = None,
        effect: Effect = Effect.READ,
        replies: tuple[builtins.type[Message], ...] = (),
        deadline: float | None = None,
        upcast: Upcast | None = None,
        example: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        if type is None:
            return
        if route is None:
            raise UsageError(f"{cls.__name__} declares the type {type!r} without a route: who may send it to whom?")
        if upcast is not None and version < 2:
            raise UsageError(f"{cls.__name__} is version {version} of {type!r}: there is none before it to upcast from")
        cls.declaration = Declaration(type, version, route, effect, replies, deadline, upcast, example)


class Request(Message):
    """Asks for something: it ends in exactly one terminal state by its deadline."""


class Reply(Message):
    """Answers a request; its causation id is the request's id."""


class Event(Message):
    """States a fact; nobody has to answer."""
