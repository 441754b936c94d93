"""What is said: envelope, messages and catalogue. It does no I/O and knows no broker."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

_HOMES = {
    "CATALOGUE": "catalogue",
    "Catalogue": "catalogue",
    "Effect": "message",
    "Envelope": "envelope",
    "Event": "message",
    "InfrastructureAcknowledged": "messages.handoff",
    "InfrastructureReady": "messages.handoff",
    "InterlockError": "errors",
    "InvalidMessageError": "errors",
    "Message": "message",
    "PermanentError": "errors",
    "RejectionCode": "errors",
    "Reply": "message",
    "Request": "message",
    "Route": "message",
    "TaskDeclined": "messages.task",
    "TransientError": "errors",
    "UnknownOutcomeError": "errors",
    "UsageError": "errors",
    "decode": "codec",
    "decode_bare": "codec",
    "encode": "codec",
}


if not TYPE_CHECKING:  # whoever checks types sees the imports above, and no other names

    def __getattr__(name: str) -> object:
        """Import what is asked for: a command's help needs none of it."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value
