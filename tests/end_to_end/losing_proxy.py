"""AWS behind a line that breaks once: a request gets through, its answer does not."""

from __future__ import annotations

__all__ = ["LosingProxy"]

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from aiohttp import ClientSession, DummyCookieJar, web
from multidict import CIMultiDict

_OF_THE_HOP = ("Connection", "Content-Length", "Keep-Alive", "Transfer-Encoding")


class LosingProxy:
    """Passes everything on to `target`; the first answer to a request whose body holds all `words` is lost.

    An async context manager; clients use `url`.
    """

    def __init__(self, target: str, *, words: tuple[str, ...]) -> None:
        self._target = target
        self._words = tuple(word.encode() for word in words)
        self._stack = AsyncExitStack()
        self._session: ClientSession | None = None
        self.url = ""
        self.lost = 0
        """How many answers have been lost so far."""

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=64 * 2**20)
        application.add_routes([web.route("*", "/{path:.*}", self._pass)])
        async with AsyncExitStack() as stack:
            self._session = await stack.enter_async_context(
                ClientSession(auto_decompress=False, cookie_jar=DummyCookieJar())
            )
            runner = web.AppRunner(application, access_log=None)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _pass(self, request: web.Request) -> web.Response:
        assert self._session is not None
        body = await request.read()
        url = urlsplit(self._target)._replace(path=request.raw_path.partition("?")[0], query=request.query_string)
        async with self._session.request(
            request.method, url.geturl(), headers=_end_to_end(request.headers), data=body
        ) as answer:
            content = await answer.read()
        if not self.lost and all(word in body for word in self._words):
            self.lost += 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status, headers=_end_to_end(answer.headers), body=content)


def _end_to_end(headers: object) -> CIMultiDict[str]:
    kept: CIMultiDict[str] = CIMultiDict(headers)  # type: ignore[arg-type]
    for name in _OF_THE_HOP:
        kept.popall(name, None)
    return kept
