"""One AWS service as four typed calls; the only place where botocore's generated methods are reached."""

from __future__ import annotations

__all__ = ["AwsClient", "Document", "Service"]

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from interlock.agents.systems.aws.errors import AwsRefusedError, aws_errors
from interlock.agents.systems.outside import calling

Document = dict[str, Any]
"""A request's or an answer's members, as AWS documents them."""

_READS = re.compile(r"describe_|get_|head_|list_")


class AwsClient(Protocol):
    """What botocore generates from the service's own description: one coroutine method per operation."""

    def __getattr__(self, operation: str) -> Callable[..., Awaitable[Document]]:
        """Return the method of one operation."""
        ...


class Service:
    """Calls one AWS service. Operations have the client library's names, e.g. `describe_db_instances`."""

    def __init__(self, name: str, client: AwsClient) -> None:
        self._name = name
        self._client = client

    def __repr__(self) -> str:
        return f"Service({self._name!r})"

    async def call(self, operation: str, request: Mapping[str, object] | None = None, *, about: str) -> Document:
        """Send one request, once, and return AWS's answer. `about` names the resource in errors.

        Raises TransientError, AwsRefusedError, UnknownOutcomeError (only for operations that change something) and
        UsageError, as `aws_errors` tells them apart.
        """
        answer = await self._ask(operation, request or {}, about=about, absent=None)
        assert answer is not None, "what is not there is an error here"
        return answer

    async def find(self, operation: str, request: Mapping[str, object], *, about: str, absent: str) -> Document | None:
        """Return the answer, or None when AWS refuses with the error code `absent`. Raises what `call` raises."""
        return await self._ask(operation, request, about=about, absent=absent)

    async def listed(
        self, operation: str, member: str, request: Mapping[str, object] | None = None, *, about: str
    ) -> list[Document]:
        """Return one list member of an answer, over all its pages. Raises what `call` raises."""
        found: list[Document] = []
        asked: dict[str, object] = dict(request or {})
        while True:
            answer = await self.call(operation, asked, about=about)
            found += answer.get(member, [])
            following = next((name for name in ("NextToken", "Marker", "NextMarker") if answer.get(name)), None)
            if following is None:
                return found
            asked["Marker" if following == "NextMarker" else following] = answer[following]

    async def body(self, operation: str, request: Mapping[str, object], *, about: str) -> tuple[Document, bytes]:
        """Return an answer and the bytes that it streams. Raises what `call` raises."""
        answer = await self.call(operation, request, about=about)
        with aws_errors(f"{self._name}.{operation}", about=about, changes=False):
            async with answer["Body"] as stream:
                content: bytes = await stream.read()
        return answer, content

    async def _ask(
        self, operation: str, request: Mapping[str, object], *, about: str, absent: str | None
    ) -> Document | None:
        with calling(self._name, operation) as call:
            try:
                with aws_errors(f"{self._name}.{operation}", about=about, changes=not _READS.match(operation)):
                    answer: Document = await getattr(self._client, operation)(**request)
            except AwsRefusedError as error:
                if absent is None or error.code != absent:
                    raise
                call.note("interlock.outside.absent", value=True)
                return None
        return answer
