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
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    DUPLICATE_KEY = "duplicate_key"
    NUMBER_OUT_OF_RANGE = "number_out_of_range"
    LONE_SURROGATE = "lone_surrogate"
    NUL_CHARACTER = "nul_character"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_VERSION = "unknown_version"
    INVALID_FIELD = "invalid_field"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    WRONG_SENDER = "wrong_sender"
    WRONG_RECEIVER = "wrong_receiver"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY_HOPS = "too_many_hops"


class InvalidMessageError(PermanentError):
    """Raised when bytes are not an acceptable message.

    The text never contains the offending payload: it may hold secrets or terminal escapes.
    """

    def __init__(self, code: RejectionCode, reason: str, *, path: str = "") -> None:
        self.code = code
        self.reason = reason
        self.path = path
        super().__init__(f"{path or 'message'}: {reason} ({code})")
