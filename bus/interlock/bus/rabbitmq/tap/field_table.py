"""Reads a table of AMQP fields entry by entry, without decoding them; it knows bytes, and no message.

Kinds and sizes are those that RabbitMQ writes and reads (rabbitmq.com/amqp-0-9-1-errata, "Field types").
"""

from __future__ import annotations

__all__ = ["entries_of", "integer_in"]

from collections.abc import Iterator

_SIZES = {
    ord(kind): size
    for size, kinds in {0: "V", 1: "tbB", 2: "su", 4: "Iif", 5: "D", 8: "lLdT"}.items()
    for kind in kinds
}
_WITH_A_SIZE = frozenset(b"SxFA")
"""Texts, bytes, tables and arrays begin with their size."""
_SIGNED = frozenset(b"bsIlL")
_UNSIGNED = frozenset(b"Bui")


def entries_of(data: bytes, at: int) -> Iterator[bytes]:
    """Yield each entry of the table that begins at `at`: its name's size, its name, its kind and its value.

    Ends where a kind follows that nobody has specified, since it cannot be known where that ends.
    """
    end = min(at + 4 + int.from_bytes(data[at : at + 4], "big"), len(data))
    at += 4
    while at < end:
        kind_at = at + 1 + data[at]
        if kind_at >= end:
            return
        kind = data[kind_at]
        if kind in _WITH_A_SIZE:
            following = kind_at + 5 + int.from_bytes(data[kind_at + 1 : kind_at + 5], "big")
        elif kind in _SIZES:
            following = kind_at + 1 + _SIZES[kind]
        else:
            return
        if following > end:
            return
        yield data[at:following]
        at = following


def integer_in(data: bytes, at: int, name: bytes) -> int | None:
    """Return the integer under this name in the table that begins at `at`; None when there is none.

    Where a name occurs twice, the first counts: that is the one which the broker replaces when it sets a header.
    """
    begin = bytes((len(name),)) + name
    for entry in entries_of(data, at):
        if entry.startswith(begin):
            kind, value = entry[len(begin)], entry[len(begin) + 1 :]
            if kind in _SIGNED or kind in _UNSIGNED:
                return int.from_bytes(value, "big", signed=kind in _SIGNED)
            return None
    return None
