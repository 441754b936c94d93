"""Answers probes and scrapes: `/live`, `/ready`, `/metrics`; it needs nothing but the core, and changes nothing.

As much HTTP/1.1 as a probe needs: one GET or HEAD per connection, within bounds of size, time and number.
"""

from __future__ import annotations

__all__ = ["HealthServer"]

import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import anyio
import anyio.abc

from interlock.agents.telemetry.standing import Standing
from interlock.protocol.errors import UsageError

_log = logging.getLogger(__name__)

_LARGEST_REQUEST = 8192
"""Bytes of request line and headers."""
_PATIENCE = 5.0
"""Seconds for a request to arrive and its answer to leave."""
_AT_A_TIME = 16
"""Connections; further ones wait in the kernel's queue."""
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    content_type: str = "application/json"

    @classmethod
    def of(cls, status: int, document: object) -> _Answer:
        return cls(status, json.dumps(document).encode() + b"\n")

    def encoded(self, *, with_body: bool) -> bytes:
        allow = "Allow: GET, HEAD\r\n" if self.status == 405 else ""
        head = (
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n"
        )
        return head.encode() + (self.body if with_body else b"")


class HealthServer:
    """Answers for the agents of one process, from `listening` until its context ends."""

    def __init__(self, standings: Sequence[Standing], *, metrics: Callable[[], Awaitable[bytes]] | None = None) -> None:
        """`metrics` returns Prometheus's text; None: there is none."""
        self._standings = tuple(standings)
        self._metrics = metrics
        self._free = anyio.Semaphore(_AT_A_TIME)
        self.port = 0

    def __repr__(self) -> str:
        return f"HealthServer(agents={[standing.agent for standing in self._standings]}, port={self.port})"

    @asynccontextmanager
    async def listening(self, address: str) -> AsyncGenerator[Self]:
        """Listen at `host:port`; the port that was taken is in `port`. Raises UsageError when it is taken already."""
        host, _, port = address.rpartition(":")
        try:
            listener = await anyio.create_tcp_listener(local_host=host.strip("[]"), local_port=int(port))
        except OSError as error:
            raise UsageError(f"the health endpoint cannot listen at {address}: {error.strerror}") from error
        self.port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
        _log.info("health is answered at http://%s:%d/live and /ready", host, self.port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._serve)
            yield self
            tasks.cancel_scope.cancel()

    async def _serve(self, stream: anyio.abc.SocketStream) -> None:
        async with self._free, stream:
            with anyio.move_on_after(_PATIENCE):
                try:
                    await self._converse(stream)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream):
                    return  # whoever asked has gone

    async def _converse(self, stream: anyio.abc.SocketStream) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            if len(received) > _LARGEST_REQUEST:
                await stream.send(_Answer.of(431, {"error": "the request is too large"}).encoded(with_body=True))
                return
            received += await stream.receive(_LARGEST_REQUEST)
        words = received.partition(b"\r\n")[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            await stream.send(_Answer.of(400, {"error": "this is no HTTP/1.1 request"}).encoded(with_body=True))
            return
        method, target = words[0], words[1].partition("?")[0]
        if method not in {"GET", "HEAD"}:
            answer = _Answer.of(405, {"error": "only GET and HEAD are answered"})
        else:
            answer = await self._answer(target)
        await stream.send(answer.encoded(with_body=method != "HEAD"))

    async def _answer(self, target: str) -> _Answer:
        match target:
            case "/live":
                # That this is answered is the proof: the event loop turns.
                return _Answer.of(200, {"status": "live", "agents": [standing.agent for standing in self._standings]})
            case "/ready":
                return await self._ready()
            case "/metrics" if self._metrics is not None:
                for standing in self._standings:
                    await standing.look()
                return _Answer(200, await self._metrics(), _PROMETHEUS)
            case _:
                known = ["/live", "/ready", *(["/metrics"] if self._metrics is not None else [])]
                return _Answer.of(404, {"error": "there is no such page", "pages": known})

    async def _ready(self) -> _Answer:
        agents: dict[str, object] = {}
        for standing in self._standings:
            reasons = await standing.reasons()
            agents[standing.agent] = {"ready": not reasons, **({"reasons": list(reasons)} if reasons else {})}
        ready = bool(self._standings) and all(entry["ready"] for entry in agents.values() if isinstance(entry, dict))
        return _Answer.of(200 if ready else 503, {"status": "ready" if ready else "unavailable", "agents": agents})
