"""What became of one publish, in whichever way it was sent; it knows AMQP's verdicts, not the bus's errors."""

from __future__ import annotations

__all__ = [
    "LOST",
    "REFUSED",
    "SILENT",
    "STORED",
    "Outcome",
    "Verdict",
    "outcome_of",
]

from dataclasses import dataclass
from enum import Enum, auto

import aiormq


class Verdict(Enum):
    """How a publish ended."""

    STORED = auto()
    UNROUTABLE = auto()
    REFUSED = auto()
    FORBIDDEN = auto()
    UNDECLARED = auto()
    SILENT = auto()
    LOST = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict, and what it was concluded from."""

    verdict: Verdict
    cause: BaseException | None = None


STORED = Outcome(Verdict.STORED)
REFUSED = Outcome(Verdict.REFUSED)
SILENT = Outcome(Verdict.SILENT)
LOST = Outcome(Verdict.LOST)


def outcome_of(error: BaseException) -> Outcome:
    """Return what an error of the client library says about a publish. Raises the error when it says nothing."""
    match error:
        case aiormq.exceptions.PublishError():
            return Outcome(Verdict.UNROUTABLE, error)
        case aiormq.exceptions.DeliveryError():
            return Outcome(Verdict.REFUSED, error)
        case aiormq.exceptions.ChannelAccessRefused() | aiormq.exceptions.ChannelPreconditionFailed():
            return Outcome(Verdict.FORBIDDEN, error)
        case aiormq.exceptions.ChannelNotFoundEntity():
            return Outcome(Verdict.UNDECLARED, error)
        case aiormq.exceptions.AMQPError() | aiormq.exceptions.ChannelInvalidStateError() | OSError():
            return Outcome(Verdict.LOST, error)
        case _ if type(error) is Exception:  # what aiormq rejects with when it closes without a cause
            return Outcome(Verdict.LOST, error)
        case _:
            raise error
