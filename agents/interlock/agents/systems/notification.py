"""What people are told in chat, and whom it may wake; it knows neither Slack's nor Discord's form."""

from __future__ import annotations

__all__ = ["Audience", "ChatPort", "ChatUnavailableError", "Notification", "NotificationKind", "shown"]

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from urllib.parse import urlsplit

from interlock.protocol.errors import TransientError, UsageError

_UNSAFE_IN_LINKS = frozenset(" <>|\"'`\\()[]")


class Audience(StrEnum):
    """Who is mentioned, so that the message reaches them at once."""

    NOBODY = "nobody"
    TEAM = "team"
    """The devops team, as a Slack user group or a Discord role."""
    CHANNEL = "channel"
    """Everyone in the channel."""


class NotificationKind(StrEnum):
    """The specification's notification rules; each kind has one channel and one audience."""

    DEPLOYMENT_SUCCEEDED = "deployment_succeeded"
    DEPLOYMENT_FAILED = "deployment_failed"
    INCIDENT = "incident"
    THRESHOLD_EXCEEDED = "threshold_exceeded"
    COST_ALERT = "cost_alert"

    @property
    def channel(self) -> str:
        """The channel's name, without `#`."""
        return {"incident": "incidents", "threshold_exceeded": "ops", "cost_alert": "finance"}.get(self, "deployments")

    @property
    def audience(self) -> Audience:
        """Whom the message mentions."""
        return {"deployment_failed": Audience.TEAM, "incident": Audience.CHANNEL}.get(self, Audience.NOBODY)


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. Title and lines may come from anywhere: they are shown as text and mention nobody."""

    kind: NotificationKind
    title: str
    lines: tuple[str, ...] = ()
    link: str | None = None
    """An http or https address; anything else is refused with a UsageError."""

    def __post_init__(self) -> None:
        if not shown(self.title, limit=1):
            raise UsageError(f"a notification of kind {self.kind} needs a visible title")
        if self.link is not None and not _is_plain_web_address(self.link):
            raise UsageError(f"a notification's link must be a plain http or https address, not {self.link!r}")


class ChatPort(Protocol):
    """Tells people something, in the channel of the notification's kind."""

    async def send(self, notification: Notification) -> None:
        """Post one message.

        Raises ChatUnavailableError or another TransientError when it was not posted and may be tried again,
        PermanentError when it is refused, UnknownOutcomeError when it may have been posted.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class ChatUnavailableError(TransientError):
    """Raised when the service answers that it takes no message now."""

    def __init__(self, service: str, channel: str, *, status: int, retry_after: float | None) -> None:
        self.retry_after = retry_after
        """Seconds that the service asks to wait; None when it names none."""
        wait = "later" if retry_after is None else f"after {retry_after:g} s"
        super().__init__(f"{service} took no message for #{channel} (HTTP {status}); try again {wait}")


def shown(text: str, *, limit: int) -> str:
    """Return the visible characters on one line, cut to `limit` characters."""
    visible = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text)
    line = " ".join(visible.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def _is_plain_web_address(link: str) -> bool:
    if len(link) > 500 or not link.isascii() or not link.isprintable() or _UNSAFE_IN_LINKS & set(link):
        return False
    parts = urlsplit(link)
    return parts.scheme in {"http", "https"} and bool(parts.netloc)
