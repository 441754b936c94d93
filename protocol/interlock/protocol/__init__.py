"""What is said: envelope, messages and catalogue. It does no I/O and knows no broker."""

from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.codec import decode, decode_bare, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import (
    InterlockError,
    InvalidMessageError,
    PermanentError,
    RejectionCode,
    TransientError,
    UnknownOutcomeError,
    UsageError,
)
from interlock.protocol.message import Effect, Event, Message, Reply, Request, Route
from interlock.protocol.messages.handoff import InfrastructureAcknowledged, InfrastructureReady
from interlock.protocol.messages.task import TaskDeclined

__all__ = [
    "CATALOGUE",
    "Catalogue",
    "Effect",
    "Envelope",
    "Event",
    "InfrastructureAcknowledged",
    "InfrastructureReady",
    "InterlockError",
    "InvalidMessageError",
    "Message",
    "PermanentError",
    "RejectionCode",
    "Reply",
    "Request",
    "Route",
    "TaskDeclined",
    "TransientError",
    "UnknownOutcomeError",
    "UsageError",
    "decode",
    "decode_bare",
    "encode",
]
