"""Which messages of many are meant: by conversation, type, agent and time; it does not know where they come from."""

from __future__ import annotations

__all__ = ["Selection"]

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import conversation_of
from interlock.protocol.messages.presence import AgentHeartbeat
from interlock.protocol.shapes import ISSUE_KEY, MESSAGE_ID

_HEARTBEAT = AgentHeartbeat.declaration.type


@dataclass(frozen=True, slots=True)
class Selection:
    """What has to hold of a message, all of it at once; an empty set asks nothing.

    Heartbeats are noise in every recording: they are admitted only when their type is named.
    """

    conversations: frozenset[str] = frozenset()
    """Conversation ids."""
    types: frozenset[str] = frozenset()
    """Wire names."""
    agents: frozenset[str] = frozenset()
    """Who has sent it or is to receive it."""
    since: datetime | None = None
    """Sent at this moment or later; aware."""
    until: datetime | None = None
    """Sent before this moment; aware."""

    @classmethod
    def of(
        cls,
        *,
        conversations: Iterable[str] = (),
        types: Iterable[str] = (),
        agents: Iterable[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Self:
        """Build a selection as people ask for it: a conversation is an id, or the key of a Jira issue.

        Raises UsageError for a conversation that is neither.
        """
        ids = frozenset(_conversation(name) for name in conversations)
        return cls(ids, frozenset(types), frozenset(agents), since, until)

    def admits(self, envelope: Envelope[Any]) -> bool:
        """Return whether the message is meant."""
        return (
            (not self.conversations or envelope.conversation_id in self.conversations)
            and (envelope.type in self.types if self.types else envelope.type != _HEARTBEAT)
            and (not self.agents or bool({envelope.sender, envelope.receiver} & self.agents))
            and (self.since is None or envelope.sent_at >= self.since)
            and (self.until is None or envelope.sent_at < self.until)
        )


def _conversation(name: str) -> str:
    if re.fullmatch(MESSAGE_ID, name):
        return name
    if re.fullmatch(ISSUE_KEY, name):
        return conversation_of(name)
    raise UsageError(f"'{name}' is neither a conversation's id nor the key of a Jira issue, like PROJ-140")
