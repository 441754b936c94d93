"""What somebody who follows the bus wants to see, and how each message is told in one line; it knows no terminal."""

from __future__ import annotations

__all__ = ["Told", "Watch"]

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any

from interlock.agents.report.telling import telling
from interlock.agents.report.text import line
from interlock.agents.report.tone import Tone, tone
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.presence import AgentHeartbeat
from interlock.protocol.selection import Selection

_CONVERSATIONS_REMEMBERED = 10_000
_MESSAGES_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Told:
    """A message as a line."""

    text: str
    tone: Tone


class Watch:
    """One person's look at the bus. It remembers which conversation is about which issue, and what was told."""

    def __init__(
        self, selection: Selection, *, sender: str | None = None, receiver: str | None = None, heartbeats: bool = False
    ) -> None:
        """Heartbeats are shown when they are asked for, here or by naming their type."""
        self._selection = selection
        self._sender = sender
        self._receiver = receiver
        self._heartbeats = heartbeats
        self._issues: OrderedDict[str, str] = OrderedDict()
        self._told: OrderedDict[str, None] = OrderedDict()

    @property
    def is_selective(self) -> bool:
        """Whether anything but heartbeats is left out."""
        return bool(self._sender or self._receiver or self._selection != Selection())

    def admits(self, envelope: Envelope[Any]) -> bool:
        """Return whether a message is to be shown."""
        selection = self._selection
        if self._heartbeats and not selection.types and isinstance(envelope.payload, AgentHeartbeat):
            selection = replace(selection, types=frozenset({envelope.type}))
        return (
            selection.admits(envelope)
            and self._sender in {None, envelope.sender}
            and self._receiver in {None, envelope.receiver}
        )

    def is_new(self, envelope: Envelope[Any]) -> bool:
        """Return whether this message was not asked about before: a journal may hold two copies of one."""
        if envelope.id in self._told:
            return False
        self._told[envelope.id] = None
        if len(self._told) > _MESSAGES_REMEMBERED:
            self._told.popitem(last=False)
        return True

    def tell(self, envelope: Envelope[Any]) -> Told:
        """Return the line: when, who to whom, what, about which issue, and the one detail that tells most."""
        at = envelope.sent_at.astimezone().strftime("%H:%M:%S")
        detail = line(telling(envelope.payload))
        about = self._about(envelope)
        text = f"{at} {envelope.sender} -> {envelope.receiver} {envelope.type} {about}"
        return Told(f"{text}: {detail}" if detail else text, tone(envelope.payload))

    def _about(self, envelope: Envelope[Any]) -> str:
        issue = getattr(envelope.payload, "jira_issue", None)
        if isinstance(issue, str):
            self._issues[envelope.conversation_id] = issue
            if len(self._issues) > _CONVERSATIONS_REMEMBERED:
                self._issues.popitem(last=False)
        known = self._issues.get(envelope.conversation_id)
        return known or f"conversation {envelope.conversation_id}"
