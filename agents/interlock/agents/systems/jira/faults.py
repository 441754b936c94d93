"""What Jira's refusals mean for the caller: later, never, or look first; nothing secret passes into an error's text.

The library's own error prints request and response headers, so only its parsed text and status are used.
"""

from __future__ import annotations

__all__ = ["ConnectionLostError", "JiraUnavailableError", "raised_as_interlock"]

import re
from collections.abc import Generator
from contextlib import contextmanager

from jira.exceptions import JIRAError

from interlock.protocol.errors import PermanentError, TransientError

_TOO_MANY_REQUESTS = 429
_SERVER_ERRORS = 500
_TAG = re.compile(r"<[^>]*>")
_LONGEST_REASON = 300


class JiraUnavailableError(TransientError):
    """Raised when Jira answers that it cannot work now."""

    def __init__(self, action: str, reason: str, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        """Seconds that Jira asks to wait; None when it names none."""
        wait = "later" if retry_after is None else f"after {retry_after:g} s"
        super().__init__(f"Jira cannot {action} now ({reason}); try again {wait}")


class ConnectionLostError(TransientError):
    """Raised when the connection broke or no answer came in time; a write may or may not have arrived."""

    def __init__(self, action: str) -> None:
        super().__init__(f"no answer from Jira to: {action}; every write looks first, so try again")


@contextmanager
def raised_as_interlock(action: str) -> Generator[None]:
    """Turn what the library raises into Interlock's errors; `action` completes "Jira cannot …"."""
    try:
        yield
    except (JIRAError, ValueError, LookupError, OSError) as error:
        raise _translated(action, _origin(error)) from error


def _origin(error: BaseException) -> BaseException:
    """Return what happened first: looking up an account, the library wraps its own errors and drops their status."""
    while isinstance(error, JIRAError) and error.status_code is None and error.__context__ is not None:
        error = error.__context__
    return error


def _translated(action: str, error: BaseException) -> TransientError | PermanentError:
    if isinstance(error, JIRAError):
        return _refused(action, error)
    if isinstance(error, OSError) and not isinstance(error, ValueError):  # the root of every failure of the HTTP layer
        return ConnectionLostError(action)
    return PermanentError(f"cannot {action}: what answered does not speak Jira's REST API; check the configured URL")


def _refused(action: str, error: JIRAError) -> TransientError | PermanentError:
    status: int | None = error.status_code
    if status is None:
        return PermanentError(f"cannot {action}: {_reason(error)}")
    reason = f"HTTP {status}: {_reason(error)}"
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERRORS:
        return JiraUnavailableError(action, reason, retry_after=_retry_after(error))
    return PermanentError(f"Jira refused to {action}: {reason}")


def _reason(error: JIRAError) -> str:
    """Return one line: an error body may be a list, a map, a whole web page, or empty."""
    text = " ".join(_TAG.sub(" ", str(error.text or "")).split())
    return text[:_LONGEST_REASON] or "no reason given"


def _retry_after(error: JIRAError) -> float | None:
    if error.response is None:
        return None
    header = error.response.headers.get("Retry-After", "")
    return float(header) if header.isdecimal() else None
