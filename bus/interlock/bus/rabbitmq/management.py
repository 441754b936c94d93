"""A small client of RabbitMQ's management HTTP API: JSON in, JSON out; it knows addresses, not what they mean.

It follows no redirect, since that would carry the credentials along, and needs nothing but the standard library.
"""

from __future__ import annotations

__all__ = ["Management"]

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

import anyio

from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError, NotPermittedError
from interlock.protocol.errors import UsageError

_PAGE = 500
"""Rows per request; the API's own limit is 500 (rabbitmq.com/docs/management, "Pagination")."""

_LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes


class Management:
    """The API of one node, for one virtual host. Calls may run at the same time; each is a connection of its own."""

    def __init__(
        self,
        url: str,
        *,
        vhost: str,
        user: str | None = None,
        password: str | None = None,
        token: str | None = None,
        ca_file: Path | None = None,
        timeout: float = 5.0,
    ) -> None:
        """`url` may hold the login itself; `token` is sent as a bearer token instead of a login.

        `ca_file` holds the authorities that are trusted instead of the system's. `timeout`, in seconds, is for each
        step of a request. Raises UsageError for what is no http or https address.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError("the management URL's port is a number from 1 to 65535") from error
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise UsageError("the management URL starts with http:// or https:// and names a host")
        self.vhost = vhost
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port or (15671 if self._secure else 15672)
        self._prefix = parts.path.rstrip("/")
        self._timeout = timeout
        self._ca_file = ca_file
        self._user = user if user is not None else unquote(parts.username or "")
        secret = password if password is not None else unquote(parts.password or "")
        login = base64.b64encode(f"{self._user}:{secret}".encode()).decode()
        self._authorization = f"Bearer {token}" if token else f"Basic {login}"

    def __repr__(self) -> str:
        return f"Management({self.address!r}, vhost={self.vhost!r})"

    @property
    def address(self) -> str:
        """Host and port, without the login."""
        return f"{self._host}:{self._port}"

    async def get(self, *path: str) -> Any:
        """Return the JSON at these path segments below `/api`, each quoted here.

        Raises BrokerUnavailableError when nothing answers in time, LoginRefusedError, NotPermittedError for what this
        user may not see, UsageError for what does not exist or is no JSON.
        """
        return await self._call("GET", path)

    async def table(self, name: str) -> list[dict[str, Any]]:
        """Return every row of a virtual host's `queues`, `exchanges`, …, page by page; raises as `get` does.

        A row that is added or removed meanwhile may be missing or there twice.
        """
        rows: list[dict[str, Any]] = []
        page = 1
        while True:
            found = await self._call("GET", (name, self.vhost), {"page": page, "page_size": _PAGE})
            if isinstance(found, list):  # not every table has pages
                return found
            rows += found["items"]
            if page >= found["page_count"]:
                return rows
            page += 1

    async def rows(self, name: str) -> list[dict[str, Any]]:
        """Return the rows of a table that has no pages, such as `topic-permissions`, of this virtual host alone."""
        return [row for row in await self.get(name) if row.get("vhost") == self.vhost]

    async def _call(self, method: str, path: tuple[str, ...], query: Mapping[str, object] | None = None) -> Any:
        target = f"{self._prefix}/api/" + "/".join(quote(segment, safe="") for segment in path)
        if query:
            target += f"?{urlencode(query)}"
        what = "/".join(path)
        try:
            answer = await anyio.to_thread.run_sync(partial(self._exchange, method, target), abandon_on_cancel=True)
        except ssl.SSLError as error:
            raise BrokerUnavailableError(
                f"the management API at {self.address} cannot be trusted or speaks no TLS ({error.reason}); "
                "check the URL's scheme and its certificate"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise BrokerUnavailableError(
                f"the management API at {self.address} does not answer ({reason}); "
                "is the plugin rabbitmq_management enabled, and is this its port?"
            ) from error
        return self._read(answer, what)

    def _exchange(self, method: str, target: str) -> _Answer:
        connection = self._connection()
        try:
            connection.request(
                method, target, headers={"Authorization": self._authorization, "Accept": "application/json"}
            )
            response = connection.getresponse()
            return _Answer(response.status, response.read(_LARGEST + 1))
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        context = ssl.create_default_context(cafile=self._ca_file)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=context)

    def _read(self, answer: _Answer, what: str) -> Any:
        who = f"'{self._user}'" if self._user else "this login"
        if answer.status == HTTPStatus.UNAUTHORIZED:
            # A wrong password and a user without a management tag get the same status.
            raise LoginRefusedError(
                f"the management API at {self.address} refused {who}: "
                "check the password, and that the user has the tag monitoring or administrator"
            )
        if answer.status == HTTPStatus.FORBIDDEN:
            raise NotPermittedError(f"the management API does not show '{what}' to {who}; it takes an administrator")
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            # Health checks answer so, with a document that says what is wrong.
            return _json(answer.body, what)
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise BrokerUnavailableError(f"the management API answered {answer.status} for '{what}'; try again")
        if answer.status != HTTPStatus.OK:
            raise UsageError(
                f"the management API answered {answer.status} for '{what}'; "
                f"does the virtual host '{self.vhost}' exist, and is {self.address} RabbitMQ's management?"
            )
        return _json(answer.body, what)


def _json(body: bytes, what: str) -> Any:
    if len(body) > _LARGEST:
        raise UsageError(f"the management API's answer for '{what}' is larger than {_LARGEST} bytes")
    try:
        return json.loads(body)
    except ValueError as error:
        raise UsageError(f"what answered for '{what}' is no management API: no JSON came; check the URL") from error
