"""Slack by incoming webhooks: notifications as blocks, in which only our own mentions are mentions.

Sources: Slack API, "Sending messages using incoming webhooks", "Formatting text for app surfaces" (escape `&`, `<`,
`>`), "Block Kit: section block" (3,000 characters), "Mentioning groups" (`<!subteam^ID>`, `<!channel>`),
"Text object" (`verbatim`).
"""

from __future__ import annotations

__all__ = ["SlackClient"]

import re
from collections.abc import Iterator, Mapping

from interlock.agents.systems.notification import Audience, Notification, shown
from interlock.agents.systems.webhook import Webhooks
from interlock.protocol.errors import UsageError

_TITLE_LIMIT, _LINE_LIMIT, _LINES_LIMIT, _SECTION_LIMIT = 200, 500, 40, 3_000
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class SlackClient:
    """A ChatPort on Slack."""

    def __init__(self, webhooks: Mapping[str, str], *, team_group: str, timeout: float = 10.0) -> None:
        """Prepare without connecting.

        `webhooks` are channel name -> webhook URL (secret). `team_group` is the id of the devops team's user group,
        e.g. `S0614TZR7`. `timeout` is in seconds.
        """
        if not re.fullmatch(r"S[A-Z0-9]{2,20}", team_group):
            raise UsageError(f"a Slack user group's id looks like S0614TZR7, not {team_group!r}")
        self._webhooks = Webhooks("Slack", webhooks, timeout=timeout)
        self._mentions = {
            Audience.NOBODY: "",
            Audience.TEAM: f"<!subteam^{team_group}> ",
            Audience.CHANNEL: "<!channel> ",
        }

    def __repr__(self) -> str:
        return f"SlackClient({self._webhooks!r})"

    async def send(self, notification: Notification) -> None:
        """See ChatPort."""
        title = _escaped(notification.title, limit=_TITLE_LIMIT)
        heading = f"{self._mentions[notification.kind.audience]}*{title}*"
        sections = [heading, *_packed(notification.lines)]
        if notification.link:
            sections.append(f"<{notification.link.translate(_ESCAPES)}|Open>")
        # Verbatim: Slack then makes no link and no mention of words that look like an address or a channel's name.
        texts = ({"type": "mrkdwn", "text": text, "verbatim": True} for text in sections)
        blocks = [{"type": "section", "text": text} for text in texts]
        await self._webhooks.post(notification.kind.channel, {"text": heading, "blocks": blocks})

    async def aclose(self) -> None:
        """See ChatPort."""
        await self._webhooks.aclose()


def _escaped(text: str, *, limit: int) -> str:
    """Return text that Slack shows as it is; cut first, so that no escape is cut in two."""
    return shown(text, limit=limit).translate(_ESCAPES)


def _packed(lines: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines in as few sections as their limit allows."""
    section = ""
    for line in lines[:_LINES_LIMIT]:
        text = f"• {_escaped(line, limit=_LINE_LIMIT)}"
        if section and len(section) + len(text) >= _SECTION_LIMIT:
            yield section
            section = ""
        section = f"{section}\n{text}" if section else text
    if section:
        yield section
