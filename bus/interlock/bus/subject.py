"""Which message the running task is about, for log lines; it knows no logger and no format.

Set by whoever works on a message, read by whoever writes a line. Tasks that are started inside inherit it.
"""

from __future__ import annotations

__all__ = ["Subject", "about", "subject"]

from contextvars import ContextVar, Token
from types import TracebackType
from typing import NamedTuple


class Subject(NamedTuple):
    """A message, as far as a reader of logs wants to look it up; never its payload."""

    agent: str
    conversation_id: str
    message_id: str
    type: str


_subject: ContextVar[Subject | None] = ContextVar("interlock_subject", default=None)


class about:  # noqa: N801 - reads as a phrase: `with about(...)`
    """Have everything inside, also in tasks that are started there, say that it is about this message."""

    __slots__ = ("_subject", "_token")

    def __init__(self, agent: str, conversation_id: str, message_id: str, type: str) -> None:  # noqa: A002 - the wire's
        self._subject = Subject(agent, conversation_id, message_id, type)
        self._token: Token[Subject | None] | None = None

    def __enter__(self) -> None:
        self._token = _subject.set(self._subject)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        _subject.reset(self._token)


def subject() -> Subject | None:
    """Return what the running task is about; None outside of any message."""
    return _subject.get()
