"""How a message is told: as a request, a reply, an event, as trouble, or not at all; it knows no colours."""

from __future__ import annotations

__all__ = ["Tone", "spoken", "tone"]

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Event, Message, Reply
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalRefused
from interlock.protocol.messages.change import EscalationRaised
from interlock.protocol.messages.presence import AgentAnnounced, AgentHeartbeat, AgentOffline
from interlock.protocol.messages.provisioning import DriftDetected
from interlock.protocol.messages.task import DeadlineExceeded, MessageRejected, TaskDeclined, TaskFailed

_PRESENCE = (AgentAnnounced, AgentHeartbeat, AgentOffline)
_TROUBLE = (
    ApprovalDenied,
    ApprovalRefused,
    DeadlineExceeded,
    DriftDetected,
    EscalationRaised,
    MessageRejected,
    TaskDeclined,
    TaskFailed,
)


class Tone(StrEnum):
    """What a reader should notice first about a message."""

    REQUEST = "request"
    REPLY = "reply"
    EVENT = "event"
    TROUBLE = "trouble"
    """A refusal, a failure, a missed deadline: the way forward is not the expected one."""


def tone(message: Message) -> Tone:
    """Return how this message is told."""
    if isinstance(message, _TROUBLE):
        return Tone.TROUBLE
    if isinstance(message, Reply):
        return Tone.REPLY
    return Tone.EVENT if isinstance(message, Event) else Tone.REQUEST


def spoken(envelopes: Iterable[Envelope[Any]]) -> tuple[Envelope[Any], ...]:
    """Return the messages without presence: who is there is no part of what was agreed."""
    return tuple(envelope for envelope in envelopes if not isinstance(envelope.payload, _PRESENCE))
