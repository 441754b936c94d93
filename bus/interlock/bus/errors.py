"""What can go wrong between agents, split by what the caller does next."""

from __future__ import annotations

__all__ = [
    "BrokerUnavailableError",
    "DeadlineExceededError",
    "LeaseLostError",
    "LoginRefusedError",
    "NotPermittedError",
    "StoreBusyError",
    "StoreConflictError",
    "UnconfirmedError",
    "UnexpectedAnswerError",
    "UnroutableError",
]

from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError, UsageError
from interlock.protocol.message import Message


class UnroutableError(TransientError):
    """Raised when no queue is bound for the receiver: nothing was stored; try again when it has been declared."""

    def __init__(self, receiver: str, type: str, message_id: str, conversation_id: str) -> None:  # noqa: A002
        self.receiver = receiver
        super().__init__(
            f"no agent is bound for '{receiver}.{type}' (message {message_id}, conversation {conversation_id}). "
            f"Is {receiver} declared and running?"
        )


class UnconfirmedError(UnknownOutcomeError):
    """Raised when no confirm came in time: the broker may have the message.

    Publish again under the same message id; the receiver's inbox removes the double.
    """

    def __init__(self, message_id: str, cause: str) -> None:
        self.message_id = message_id
        super().__init__(f"message {message_id} was not confirmed ({cause}); publish it again under the same id")


class BrokerUnavailableError(TransientError):
    """Raised when none of the broker's addresses can be reached or accepts us at present."""


class DeadlineExceededError(TransientError):
    """Raised when no answer came in time; the request may still be worked on."""

    def __init__(self, receiver: str, type: str, message_id: str, seconds: float) -> None:  # noqa: A002
        self.receiver = receiver
        self.message_id = message_id
        super().__init__(
            f"{receiver} did not answer '{type}' (message {message_id}) within {seconds:g} s. "
            f"The request was stored; look at {receiver} before asking again"
        )


class UnexpectedAnswerError(PermanentError):
    """Raised when a request ended in a way that its caller did not ask for; `answer` is what came."""

    def __init__(self, answer: Message, *, receiver: str, request: Envelope[Message]) -> None:
        self.answer = answer
        self.receiver = receiver
        self.message_id = request.id
        super().__init__(
            f"{receiver} answered '{request.type}' (message {request.id}) with '{answer.declaration.type}', which was "
            "not asked for; look at .answer, or ask for it as well"
        )


class NotPermittedError(PermanentError):
    """Raised when the broker refuses: wrong credentials, or a receiver and type that this user may not write."""


class LoginRefusedError(NotPermittedError):
    """Raised when the broker refuses our credentials: it has judged no message, and holds none of ours."""


class StoreBusyError(UsageError):
    """Raised when another process owns this store: one process per agent and SQLite file."""


class StoreConflictError(TransientError):
    """Raised when a workflow or an approval was changed by someone else meanwhile: load it again and decide anew."""


class LeaseLostError(TransientError):
    """Raised when a claim's fencing token is no longer the row's: someone else has it, nothing was written."""
