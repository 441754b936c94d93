"""Failures on demand in front of an emulated Jira, so that clients meet them over the wire."""

from __future__ import annotations

__all__ = ["FAULTS", "Fault", "misbehave"]

import re
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler


@dataclass(slots=True)
class Fault:
    """The next `times` requests of this method whose path contains the pattern fail in this way."""

    kind: Literal["429", "503", "reset", "reset-after", "html"]
    """`reset` drops the connection before the request is looked at, `reset-after` once it was carried out."""
    path: str = ""
    """A regular expression, searched for in the request's path."""
    method: str = "*"
    times: int = 1
    retry_after: str | None = None
    """The header's value, for 429 and 503."""

    def concerns(self, request: web.Request) -> bool:
        """Return whether this request is to fail."""
        method_fits = self.method in {"*", request.method}
        return self.times > 0 and method_fits and re.search(self.path, request.path) is not None


FAULTS: web.AppKey[list[Fault]] = web.AppKey("faults", list)
"""Where tests put faults; a spent fault stays in the list with `times` 0."""


@web.middleware
async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Apply the first fault that concerns the request."""
    for fault in request.app[FAULTS]:
        if fault.concerns(request):
            fault.times -= 1
            return await _fail(fault, request, handler)
    return await handler(request)


async def _fail(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
    match fault.kind:
        case "429":
            return web.json_response({"message": "Rate limit exceeded."}, status=429, headers=headers)
        case "503":
            page = "<html><body>Service temporarily unavailable</body></html>"
            return web.Response(text=page, content_type="text/html", status=503, headers=headers)
        case "html":
            return web.Response(text="<html><body>Log in</body></html>", content_type="text/html")
        case "reset-after":
            await request.read()
            await handler(request)
        case "reset":
            pass
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
