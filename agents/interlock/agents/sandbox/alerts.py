"""Receives SNS notifications over HTTP, confirms its subscription, and tells what has arrived."""

from __future__ import annotations

__all__ = ["alerts_application"]

import json
from typing import Any

from aiohttp import web

_ARRIVED: web.AppKey[dict[str, Any]] = web.AppKey("arrived", dict)


def alerts_application() -> web.Application:
    """Build the application: `POST /` takes SNS messages, `GET /received/<message id>` answers 200 or 404.

    Shapes: Amazon SNS, "HTTP/HTTPS notification JSON format".
    """
    application = web.Application()
    application[_ARRIVED] = {}
    application.add_routes([web.post("/", _take), web.get("/received/{id}", _received)])
    return application


async def _take(request: web.Request) -> web.Response:
    try:
        message = json.loads(await request.text())
        if message["Type"] == "Notification":
            request.app[_ARRIVED][message["MessageId"]] = message
    except (json.JSONDecodeError, KeyError, TypeError):
        return web.Response(status=400)
    return web.Response()


async def _received(request: web.Request) -> web.Response:
    return web.Response(status=200 if request.match_info["id"] in request.app[_ARRIVED] else 404)
