"""Looks for one value in a table of AMQP fields, stepping over the others; it knows bytes, and no message.

Kinds and sizes are those that RabbitMQ writes and reads (rabbitmq.com/amqp-0-9-1-errata, "Field types").
"""

from __future__ import annotations

__all__ = ["integer_in"]

_SIZES = {
    ord(kind): size
    for size, kinds in {0: "V", 1: "tbB", 2: "su", 4: "Iif", 5: "D", 8: "lLdT"}.items()
    for kind in kinds
}
_WITH_A_SIZE = frozenset(b"SxFA")
"""Texts, bytes, tables and arrays begin with their size."""
_SIGNED = frozenset(b"bsIlL")
_UNSIGNED = frozenset(b"Bui")


def integer_in(data: bytes, at: int, name: bytes) -> int | None:
    """Return the integer under this name in the table that begins at `at`; None when there is none.

    Where a name occurs twice, the first counts: that is the one which the broker replaces when it sets a header.
    """
    end = min(at + 4 + int.from_bytes(data[at : at + 4], "big"), len(data))
    at += 4
    while at < end:
        key_at = at + 1
        at = key_at + data[at]
        if at >= end:
            return None
        kind = data[at]
        value_at = at + 1
        if data[key_at:at] == name:
            if kind in _SIGNED or kind in _UNSIGNED:
                return int.from_bytes(data[value_at : value_at + _SIZES[kind]], "big", signed=kind in _SIGNED)
            return None
        if kind in _WITH_A_SIZE:
            at = value_at + 4 + int.from_bytes(data[value_at : value_at + 4], "big")
        elif kind in _SIZES:
            at = value_at + _SIZES[kind]
        else:  # nobody has specified it: where it ends cannot be known
            return None
    return None
