"""Incoming webhooks over HTTP: one secret URL per channel, one JSON body, one answer; it knows no service's form.

Requests go to httpx's transport directly: its client logs every URL, and a webhook's URL is its only secret. Redirects
are answers like any other and are not followed.
"""

from __future__ import annotations

__all__ = ["Webhooks"]

from collections.abc import Mapping

import httpx

from interlock.agents.systems.notification import ChatUnavailableError
from interlock.agents.systems.outside import calling
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError, UsageError

_TOO_MANY_REQUESTS = 429
_LONGEST_REASON = 200


class Webhooks:
    """The webhooks of one service, by channel name."""

    def __init__(self, service: str, urls: Mapping[str, str], *, timeout: float) -> None:
        """Prepare without connecting; `timeout` is in seconds, for each step of a request."""
        self._service = service
        self._urls = dict(urls)
        self._timeout = httpx.Timeout(timeout)
        self._transport = httpx.AsyncHTTPTransport()

    def __repr__(self) -> str:
        return f"Webhooks({self._service!r}, channels={sorted(self._urls)})"

    async def post(self, channel: str, body: Mapping[str, object]) -> None:
        """Post a body to a channel; see `ChatPort.send` for the errors. UsageError when the channel has no URL."""
        if channel not in self._urls:
            raise UsageError(
                f"no {self._service} webhook is configured for #{channel}; configured: {sorted(self._urls)}"
            )
        request = httpx.Request("POST", self._urls[channel], json=body, extensions={"timeout": self._timeout.as_dict()})
        try:
            with calling(self._service, "post") as call:
                response = await self._transport.handle_async_request(request)
                text = (await response.aread()).decode(errors="replace")
                call.note("http.response.status_code", response.status_code)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise TransientError(f"{self._service} cannot be reached for #{channel}; try again") from error
        except httpx.TransportError as error:
            raise UnknownOutcomeError(
                f"{self._service} gave no answer for #{channel}; look there before posting again"
            ) from error
        self._judge(channel, response, text)

    def _judge(self, channel: str, response: httpx.Response, text: str) -> None:
        if response.is_success:
            return
        if response.status_code == _TOO_MANY_REQUESTS or response.is_server_error:
            wait = response.headers.get("Retry-After", "")
            retry_after = float(wait) if wait.replace(".", "", 1).isdecimal() else None
            raise ChatUnavailableError(self._service, channel, status=response.status_code, retry_after=retry_after)
        reason = " ".join(text.split())[:_LONGEST_REASON] or "no reason given"
        raise PermanentError(
            f"{self._service} refused the message for #{channel}: HTTP {response.status_code}: {reason}"
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()
