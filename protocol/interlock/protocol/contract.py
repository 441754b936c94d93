"""What a release promises about each of its messages, as data that outlives the code: it knows no message class.

A release is one JSON line per message type and version: routes, replies, deadline, effect and the JSON Schema of the
whole envelope, without the texts for people.
"""

from __future__ import annotations

__all__ = ["Contract", "Contracts"]

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from interlock.protocol.catalogue import Catalogue
from interlock.protocol.errors import UsageError
from interlock.protocol.schemas import index_entry, schema_of

_FOR_PEOPLE = frozenset({"title", "description", "examples", "default", "$id", "$schema"})
"""Keywords of JSON Schema that accept and refuse nothing."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One message type and version."""

    type: str
    version: int
    kind: str
    """`request`, `reply` or `event`."""
    senders: frozenset[str]
    receivers: frozenset[str]
    effect: str
    replies: frozenset[str]
    deadline: float | None
    """Seconds."""
    upcasts: bool
    """Whether a receiver reads the version before as this one."""
    schema: Mapping[str, Any]
    """Of the envelope with its payload."""

    @classmethod
    def of(cls, entry: Mapping[str, Any], schema: Mapping[str, Any]) -> Contract:
        """Build one from an entry of `index.json` and the schema that it names. Raises KeyError when one is missing."""
        return cls(
            type=entry["type"],
            version=entry["version"],
            kind=entry["kind"],
            senders=frozenset(entry["route"]["from"]),
            receivers=frozenset(entry["route"]["to"]),
            effect=entry["effect"],
            replies=frozenset(entry["replies"]),
            deadline=entry["deadlineSeconds"],
            upcasts=entry.get("upcasts", False),
            schema=without_texts(schema),
        )

    def document(self) -> Mapping[str, Any]:
        """Return it as a line of a release says it."""
        return {
            "type": self.type,
            "version": self.version,
            "kind": self.kind,
            "route": {"from": sorted(self.senders), "to": sorted(self.receivers)},
            "effect": self.effect,
            "replies": sorted(self.replies),
            "deadlineSeconds": self.deadline,
            **({"upcasts": True} if self.upcasts else {}),
            "schema": self.schema,
        }


class Contracts:
    """The messages of one release, of an exported folder, or of the code as it is."""

    def __init__(self, name: str, contracts: Iterable[Contract]) -> None:
        """`name` is what people call it, e.g. `0.1.0`."""
        self.name = name
        self._by_name = {(contract.type, contract.version): contract for contract in contracts}

    def __repr__(self) -> str:
        return f"Contracts({self.name!r}, {len(self._by_name)} messages)"

    def __iter__(self) -> Iterator[Contract]:
        return iter(self._by_name[key] for key in sorted(self._by_name))

    def find(self, type: str, version: int) -> Contract | None:  # noqa: A002 - the wire's word
        """Return the contract of a wire name and version."""
        return self._by_name.get((type, version))

    def versions(self, type: str) -> tuple[int, ...]:  # noqa: A002 - the wire's word
        """Return the versions of a type, ascending; none when there is no such type."""
        return tuple(sorted(version for name, version in self._by_name if name == type))

    @classmethod
    def of_catalogue(cls, catalogue: Catalogue, *, name: str = "the code") -> Contracts:
        """Return what the classes promise now."""
        return cls(name, (Contract.of(index_entry(message), schema_of(message)) for message in catalogue))

    @classmethod
    def parse(cls, name: str, lines: bytes) -> Contracts:
        """Return a release from its lines. Raises UsageError, naming it and the line, when they are no release."""
        found: list[Contract] = []
        for number, line in enumerate(lines.splitlines(), start=1):
            try:
                entry = json.loads(line)
                found.append(Contract.of(entry, entry["schema"]))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise UsageError(f"{name}, line {number}, is no message of a release: restore the file") from error
        if not found:
            raise UsageError(f"{name} has no message of a release in it: restore the file")
        return cls(name, found)

    def lines(self) -> bytes:
        """Return the release as lines, for `parse`; the same contracts give the same bytes."""
        documents = (json.dumps(c.document(), ensure_ascii=False, separators=(",", ":"), sort_keys=True) for c in self)
        return "".join(f"{document}\n" for document in documents).encode()


def without_texts(schema: Any) -> Any:
    """Return a JSON Schema without what only people read."""
    match schema:
        case {"properties": dict(properties), **rest}:
            members = {name: without_texts(member) for name, member in properties.items()}
            return {**without_texts(rest), "properties": members}
        case dict():
            return {name: without_texts(part) for name, part in schema.items() if name not in _FOR_PEOPLE}
        case list():
            return [without_texts(part) for part in schema]
        case _:
            return schema
