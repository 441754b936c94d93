"""Receivers of Slack's and Discord's webhooks: each body is held to the vendor's published rules and kept.

`POST /slack/<channel>` and `POST /discord/<channel>` answer as the vendors do; `GET /messages` lists what arrived, with
the mentions that the service would have made of it. This module knows no client.
"""

from __future__ import annotations

__all__ = ["OUTAGES", "Outage", "chat_application"]

import json
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from interlock.agents.sandbox.journal import Listener, unheard

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outage:
    """One answer that a service gives instead of taking a message."""

    status: int
    retry_after: str | None = None


OUTAGES: web.AppKey[list[Outage]] = web.AppKey("outages", list)
"""Answers to give to the next messages, one each."""

_MESSAGES: web.AppKey[list[Json]] = web.AppKey("messages", list)
_JOURNAL: web.AppKey[Listener] = web.AppKey("journal")
_SLACK_MENTION = re.compile(r"<(!channel|!here|!everyone|!subteam\^[A-Z0-9]+|@[UW][A-Z0-9]+)(?:\|[^>]*)?>")
_SLACK_TEXT, _SLACK_BLOCKS, _SLACK_SECTION = 40_000, 50, 3_000
_DISCORD_CONTENT = 2_000


class _RejectedError(Exception):
    def __init__(self, problem: str, *, code: int = 0) -> None:
        self.problem, self.code = problem, code
        super().__init__(problem)


def chat_application(*, journal: Listener = unheard) -> web.Application:
    """Build the application. `journal` hears of every message that was taken, by channel."""
    application = web.Application()
    application[OUTAGES] = []
    application[_MESSAGES] = []
    application[_JOURNAL] = journal
    application.add_routes(
        [
            web.post("/slack/{channel}", _slack),
            web.post("/discord/{channel}", _discord),
            web.get("/messages", _messages),
        ]
    )
    return application


async def _messages(request: web.Request) -> web.Response:
    return web.json_response(request.app[_MESSAGES])


def _outage(request: web.Request) -> web.Response | None:
    if not request.app[OUTAGES]:
        return None
    outage = request.app[OUTAGES].pop(0)
    headers = {} if outage.retry_after is None else {"Retry-After": outage.retry_after}
    return web.Response(status=outage.status, headers=headers)


def _keep(request: web.Request, service: str, body: Json, mentions: list[str]) -> None:
    channel = request.match_info["channel"]
    request.app[_MESSAGES].append({"service": service, "channel": channel, "body": body, "mentions": mentions})
    request.app[_JOURNAL](service, channel, json.dumps(body, ensure_ascii=False, sort_keys=True))


async def _slack(request: web.Request) -> web.Response:
    if outage := _outage(request):
        return outage
    try:
        body: Json = await request.json()
        texts = _slack_texts(body)
    except (json.JSONDecodeError, KeyError, TypeError):
        return web.Response(text="invalid_payload", status=400)
    except _RejectedError as error:
        return web.Response(text=error.problem, status=400)
    _keep(request, "slack", body, sorted({found for text in texts for found in _SLACK_MENTION.findall(text)}))
    return web.Response(text="ok")


def _slack_texts(body: Json) -> list[str]:
    """Return every text that Slack reads for mentions. Raises _RejectedError with Slack's error word."""
    text, blocks = body.get("text", ""), body.get("blocks", [])
    if not text and not blocks:
        raise _RejectedError("no_text")
    if len(text) > _SLACK_TEXT:
        raise _RejectedError("msg_too_long")
    if len(blocks) > _SLACK_BLOCKS:
        raise _RejectedError("invalid_blocks")
    texts = [text]
    for block in blocks:
        inner: Json = block["text"]
        if block["type"] != "section" or inner["type"] not in {"mrkdwn", "plain_text"}:
            raise _RejectedError("invalid_blocks")
        if not 1 <= len(inner["text"]) <= _SLACK_SECTION:
            raise _RejectedError("invalid_blocks")
        if inner["type"] == "mrkdwn":
            texts.append(inner["text"])
    return texts


async def _discord(request: web.Request) -> web.Response:
    if outage := _outage(request):
        return outage
    try:
        body: Json = await request.json()
        mentions = _discord_mentions(body)
    except (json.JSONDecodeError, AttributeError, TypeError):
        return web.json_response({"message": "The request body contains invalid JSON.", "code": 50109}, status=400)
    except _RejectedError as error:
        return web.json_response({"message": error.problem, "code": error.code}, status=400)
    _keep(request, "discord", body, mentions)
    return web.Response(status=204)


def _discord_mentions(body: Json) -> list[str]:
    """Return what Discord would mention. Raises _RejectedError with Discord's code."""
    content: str = body.get("content", "")
    if not content.strip():
        raise _RejectedError("Cannot send an empty message", code=50006)
    if len(content) > _DISCORD_CONTENT:
        raise _RejectedError("Invalid Form Body", code=50035)
    everything = ["everyone", "roles", "users"]
    allowed: Json = body.get("allowed_mentions", {"parse": everything})
    parse: list[str] = allowed.get("parse", [])
    roles: list[str] = allowed.get("roles", [])
    if set(parse) - set(everything) or ("roles" in parse and roles):
        raise _RejectedError("Invalid Form Body", code=50035)
    mentions = [f"role {role}" for role in re.findall(r"<@&(\d+)>", content) if "roles" in parse or role in roles]
    if "everyone" in parse and re.search(r"@(?:everyone|here)\b", content):
        mentions.append("everyone")
    return sorted(mentions)
