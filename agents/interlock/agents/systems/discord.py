"""Discord by webhooks: notifications as one content each, with every allowed mention named explicitly.

Sources: Discord developer documentation, "Execute Webhook" (content of 2,000 characters), "Allowed Mentions Object".
"""

from __future__ import annotations

__all__ = ["DiscordClient"]

import re
from collections.abc import Mapping

from interlock.agents.systems.notification import Audience, Notification, shown
from interlock.agents.systems.webhook import Webhooks
from interlock.protocol.errors import UsageError

_TITLE_LIMIT, _LINE_LIMIT, _CONTENT_LIMIT = 150, 300, 2_000
_SUPPRESS_EMBEDS = 1 << 2
_MARKDOWN = re.compile(r"([\\*_~`|>#\-\[\]()<:])")


class DiscordClient:
    """A ChatPort on Discord."""

    def __init__(self, webhooks: Mapping[str, str], *, team_role: str, timeout: float = 10.0) -> None:
        """Prepare without connecting.

        `webhooks` are channel name -> webhook URL (secret). `team_role` is the id of the devops team's role.
        `timeout` is in seconds.
        """
        if not re.fullmatch(r"[0-9]{15,20}", team_role):
            raise UsageError(f"a Discord role's id is a number of 15 to 20 digits, not {team_role!r}")
        self._webhooks = Webhooks("Discord", webhooks, timeout=timeout)
        self._team_role = team_role

    def __repr__(self) -> str:
        return f"DiscordClient({self._webhooks!r})"

    async def send(self, notification: Notification) -> None:
        """See ChatPort."""
        mention, allowed = self._mention(notification.kind.audience)
        body = {"content": _content(mention, notification), "allowed_mentions": allowed, "flags": _SUPPRESS_EMBEDS}
        await self._webhooks.post(notification.kind.channel, body)

    async def aclose(self) -> None:
        """See ChatPort."""
        await self._webhooks.aclose()

    def _mention(self, audience: Audience) -> tuple[str, dict[str, list[str]]]:
        """Return the mention's text and what Discord may turn into a mention at all."""
        match audience:
            case Audience.NOBODY:
                return "", {"parse": []}
            case Audience.TEAM:
                return f"<@&{self._team_role}> ", {"parse": [], "roles": [self._team_role]}
            case Audience.CHANNEL:
                return "@everyone ", {"parse": ["everyone"]}


def _content(mention: str, notification: Notification) -> str:
    """Return as many lines as fit, whole; the link is never the one left out."""
    end = f"\n<{notification.link}>" if notification.link else ""
    content = f"{mention}**{_escaped(notification.title, limit=_TITLE_LIMIT)}**"
    for line in notification.lines:
        longer = f"{content}\n• {_escaped(line, limit=_LINE_LIMIT)}"
        if len(longer) + len(end) > _CONTENT_LIMIT:
            break
        content = longer
    return content + end


def _escaped(text: str, *, limit: int) -> str:
    """Return text without markup, in which no `@` starts a mention: a zero-width space follows each."""
    return _MARKDOWN.sub(r"\\\1", shown(text, limit=limit)).replace("@", "@\u200b")
