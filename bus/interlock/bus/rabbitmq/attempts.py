"""How often a message was delivered, by the broker's own count; it knows headers, and no delivery."""

from __future__ import annotations

__all__ = ["attempt_of"]

from collections.abc import Mapping
from typing import Any


def attempt_of(headers: Mapping[str, Any] | None) -> int:
    """Return the number of a redelivered message's attempt.

    A quorum queue counts returns in this header. What a publisher forges there shows on a first delivery only, which
    is not asked about.
    """
    count = (headers or {}).get("x-delivery-count", 0)
    return count + 1 if isinstance(count, int) and count > 0 else 1
