"""How hard an agent works and how long it waits; it knows nothing of what it works on."""

from __future__ import annotations

__all__ = ["RuntimeSettings"]

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How an agent works through its inbox. Durations are in seconds."""

    concurrency: int = 16
    """Handlers at a time; never two of one conversation."""
    lease: float = 30.0
    """How long a claim holds without renewal; renewed every third of it."""
    max_attempts: int = 8
    """Whatever goes wrong; then the message is dead."""
    max_crashes: int = 3
    """For errors that no handler should raise; then the message is dead."""
    first_retry: float = 0.5
    """Doubled with every attempt, less a random part of up to half."""
    last_retry: float = 300.0
    grace: float = 60.0
    """How long a request that changes things may go on after its deadline; one that only reads ends with it."""
    heartbeat: float = 10.0
    """How often an agent tells the others that it is there (`agent_heartbeat`); not the heartbeat of AMQP."""
    drain: float = 20.0
    """How long running handlers may go on after a stop was asked for."""
    prefetch: int = 100
    patience: float = 60.0
    """How long the store may be away before the agent ends; until then it waits, and takes nothing from the broker."""
    retention: float = 7 * 86_400.0
    """How long handled and sent messages are kept; what they were remains known for de-duplication."""
