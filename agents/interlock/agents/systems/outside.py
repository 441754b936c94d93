"""One call of an outside system, told to whoever listens; it knows no system and no agent.

Every client calls `calling` at its one place where requests leave the process. Neither a request's content nor its
answer is told, only system, operation, duration and the kind of an error.
"""

from __future__ import annotations

__all__ = ["calling"]

from interlock.bus.telemetry import Operation, current


def calling(system: str, operation: str) -> Operation:
    """Return the call as a context manager; `operation` is one of few words, never an id or an address."""
    return current().calling(system, operation)
