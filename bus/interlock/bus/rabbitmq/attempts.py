"""How often a message was delivered, by the broker's own count; it knows headers, and no delivery."""

from __future__ import annotations

__all__ = ["DELIVERY_COUNT", "attempt_of"]

DELIVERY_COUNT = "x-delivery-count"
"""The header in which a quorum queue counts returns."""


def attempt_of(count: object) -> int:
    """Return the number of a redelivered message's attempt, by what stands in `DELIVERY_COUNT`.

    What a publisher forges there shows on a first delivery only, which is not asked about.
    """
    return count + 1 if isinstance(count, int) and count > 0 else 1
