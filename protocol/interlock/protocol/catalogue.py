"""Which messages exist: looked up by wire name and version. Built by listing, never by importing."""

from __future__ import annotations

__all__ = ["CATALOGUE", "Catalogue", "declared_in"]

from collections.abc import Iterable, Iterator
from types import ModuleType

from interlock.protocol.errors import InvalidMessageError, RejectionCode, UsageError
from interlock.protocol.message import ALL, ANY, Event, Message, Reply, Request, Route
from interlock.protocol.messages import approval, change, handoff, presence, provisioning, task


class Catalogue:
    """An immutable set of message classes. Teams extend theirs with `CATALOGUE.with_messages(...)`."""

    def __init__(self, classes: Iterable[type[Message]]) -> None:
        self._by_name: dict[tuple[str, int], type[Message]] = {}
        for message in classes:
            key = (message.declaration.type, message.declaration.version)
            if self._by_name.setdefault(key, message) is not message:
                raise UsageError(f"{key[0]} version {key[1]} is declared by two classes")
        self._types = {name for name, _ in self._by_name}

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
        if type not in self._types:
            raise InvalidMessageError(RejectionCode.UNKNOWN_TYPE, "no such message type in the catalogue", path="type")
        known = sorted(v for name, v in self._by_name if name == type)
        raise InvalidMessageError(
            RejectionCode.UNKNOWN_VERSION, f"this type is known in versions {known}", path="version"
        )

    def with_messages(self, *classes: type[Message]) -> Catalogue:
        """Return a catalogue that knows these as well."""
        return Catalogue((*self, *classes))

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


def declared_in(module: ModuleType) -> Iterator[type[Message]]:
    """Return the concrete message classes that a module exports in its `__all__`."""
    abstract = {Message, Request, Reply, Event}
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type) and issubclass(value, Message) and value not in abstract:
            yield value


CATALOGUE = Catalogue(
    message for module in (presence, task, approval, change, provisioning, handoff) for message in declared_in(module)
)
"""Every message that Interlock itself speaks."""
