"""The failure model of the whole product on one screen; it knows nothing about who raises what.

Errors are split by what the caller does next: try again, give up, fix the code, or look before trying again.
"""

from __future__ import annotations

__all__ = [
    "InterlockError",
    "InvalidMessageError",
    "PermanentError",
    "RejectionCode",
    "TransientError",
    "UnknownOutcomeError",
    "UsageError",
]

from enum import StrEnum


class InterlockError(Exception):
    """Root of every error that Interlock raises on purpose."""


class TransientError(InterlockError):
    """Raised when the same attempt may succeed later: try again."""


class PermanentError(InterlockError):
    """Raised when no repetition can help: answer it, or park it as a dead letter."""


class UsageError(InterlockError):
    """Raised when the calling code or command is wrong: fix it."""


class UnknownOutcomeError(InterlockError):
    """Raised when an effect may or may not have happened: reconcile by looking, never by repeating blindly."""


class RejectionCode(StrEnum):
    """Why a message was not accepted; stable, so that dashboards and tests may rely on it."""

    TOO_LARGE = "too_large"
    """More than 1 MiB."""
    NOT_UTF8 = "not_utf8"
    """Bytes that are no UTF-8."""
    NOT_JSON = "not_json"
    """No JSON, or JSON behind a byte order mark."""
    NOT_AN_OBJECT = "not_an_object"
    """JSON, but no object."""
    TOO_DEEP = "too_deep"
    """Nested deeper than 32 levels."""
    DUPLICATE_KEY = "duplicate_key"
    """A member is given twice."""
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    """A number beyond 64 bits, or NaN or infinity."""
    LONE_SURROGATE = "lone_surrogate"
    """Half of a surrogate pair, which is no character."""
    NUL_CHARACTER = "nul_character"
    """U+0000 in text."""
    UNKNOWN_TYPE = "unknown_type"
    """The catalogue has no such type."""
    UNKNOWN_VERSION = "unknown_version"
    """The catalogue has the type, but not this version."""
    INVALID_FIELD = "invalid_field"
    """A member is missing, or its value is not one that the schema allows."""
    WRONG_CONTENT_TYPE = "wrong_content_type"
    """The content type is not that of messages."""
    WRONG_SENDER = "wrong_sender"
    """`from` is not whom the broker authenticated."""
    WRONG_RECEIVER = "wrong_receiver"
    """It was routed under another receiver or type than it names."""
    NOT_ALLOWED = "not_allowed"
    """The type's route does not lead from this sender to this receiver."""
    TOO_MANY_HOPS = "too_many_hops"
    """It was caused by too long a chain of messages: agents answer each other in circles."""


class InvalidMessageError(PermanentError):
    """Raised when bytes are not an acceptable message.

    The text never contains the offending payload: it may hold secrets or terminal escapes.
    """

    def __init__(self, code: RejectionCode, reason: str, *, path: str = "") -> None:
        self.code = code
        self.reason = reason
        self.path = path
        super().__init__(f"{path or 'message'}: {reason} ({code})")
