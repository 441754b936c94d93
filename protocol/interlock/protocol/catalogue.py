"""Which messages exist: looked up by wire name and version. Built by listing, never by importing."""

from __future__ import annotations

__all__ = ["CATALOGUE", "Catalogue", "Reading", "declared_in"]

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType

from interlock.protocol.errors import InvalidMessageError, RejectionCode, UsageError
from interlock.protocol.message import ALL, ANY, Event, Message, Reply, Request, Route, Upcast
from interlock.protocol.messages import approval, change, handoff, presence, provisioning, repair, task


@dataclass(frozen=True, slots=True)
class Reading:
    """How a payload of one wire name and version is read."""

    written: type[Message] | None
    """The class of the version on the wire; None when the catalogue has it no more."""
    read: type[Message]
    """The newest class that it can become; the same as `written` when nothing follows it."""
    upcasts: tuple[Upcast, ...]
    """What makes the one of the other, in this order."""


class Catalogue:
    """An immutable set of message classes. Teams extend theirs with `CATALOGUE.with_messages(...)`."""

    def __init__(self, classes: Iterable[type[Message]]) -> None:
        self._by_name: dict[tuple[str, int], type[Message]] = {}
        for message in classes:
            key = (message.declaration.type, message.declaration.version)
            if self._by_name.setdefault(key, message) is not message:
                raise UsageError(f"{key[0]} version {key[1]} is declared by two classes")
        self._routes: dict[str, list[Route]] = {}
        for message in self._by_name.values():
            self._routes.setdefault(message.declaration.type, []).append(message.declaration.route)
        self._readings = {key: self._read_as(*key) for key in self._by_name}

    def __repr__(self) -> str:
        return f"Catalogue({len(self._by_name)} messages)"

    def __iter__(self) -> Iterator[type[Message]]:
        return iter(sorted(self._by_name.values(), key=lambda m: (m.declaration.type, m.declaration.version)))

    def __len__(self) -> int:
        return len(self._by_name)

    def lookup(self, type: str, version: int) -> type[Message]:  # noqa: A002 - the wire's word
        """Return the class of a wire name and version. Raises InvalidMessageError when there is none."""
        found = self._by_name.get((type, version))
        if found is not None:
            return found
        raise self._unknown(type)

    def reading(self, type: str, version: int) -> Reading:  # noqa: A002 - the wire's word
        """Return how a payload of this wire name and version is read: as the newest version that upcasts lead to.

        Raises InvalidMessageError when the version is not known, and no upcast begins at it.
        """
        return self._readings.get((type, version)) or self._read_as(type, version)

    def _read_as(self, type: str, version: int) -> Reading:  # noqa: A002 - the wire's word
        written = read = self._by_name.get((type, version))
        upcasts: list[Upcast] = []
        while (newer := self._by_name.get((type, version + len(upcasts) + 1))) and newer.declaration.upcast:
            upcasts.append(newer.declaration.upcast)
            read = newer
        if read is None:
            raise self._unknown(type)
        return Reading(written, read, tuple(upcasts))

    def _unknown(self, type: str) -> InvalidMessageError:  # noqa: A002 - the wire's word
        known = sorted(version for name, version in self._by_name if name == type)
        if not known:
            return InvalidMessageError(RejectionCode.UNKNOWN_TYPE, "no such message type in the catalogue", path="type")
        reason = f"this type is known in versions {known}"
        return InvalidMessageError(RejectionCode.UNKNOWN_VERSION, reason, path="version")

    def with_messages(self, *classes: type[Message]) -> Catalogue:
        """Return a catalogue that knows these as well."""
        return Catalogue((*self, *classes))

    def up_to(self, versions: Mapping[str, int]) -> Catalogue:
        """Return a catalogue without what is newer than these versions of these types: what an older receiver reads."""
        return Catalogue(
            message
            for message in self
            if message.declaration.version <= versions.get(message.declaration.type, message.declaration.version)
        )

    def agents(self) -> frozenset[str]:
        """Return every agent that a route names, people's console included."""
        named = (
            names
            for message in self
            for names in (message.declaration.route.senders, message.declaration.route.receivers)
        )
        return frozenset().union(*named) - {ANY, ALL}

    def routes(self) -> dict[str, Route]:
        """Return who may send each type to whom; of several versions, the latest one's."""
        return {message.declaration.type: message.declaration.route for message in self}

    def allows(self, type: str, sender: str, receiver: str) -> bool:  # noqa: A002 - the wire's word
        """Return whether this sender may send the type to this receiver in any of its versions, as brokers see it."""
        for route in self._routes.get(type, ()):  # noqa: SIM110 - asked for every message: `any` takes three times as long
            if route.allows(sender, receiver):
                return True
        return False


def declared_in(module: ModuleType) -> Iterator[type[Message]]:
    """Return the concrete message classes that a module exports in its `__all__`."""
    abstract = {Message, Request, Reply, Event}
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) and issubclass(value, Message) and value not in abstract:
            yield value


CATALOGUE = Catalogue(
    message
    for module in (presence, task, approval, change, provisioning, handoff, repair)
    for message in declared_in(module)
)
"""Every message that Interlock itself speaks."""
