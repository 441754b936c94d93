"""A small API server of Kubernetes: namespaces, resource quotas and secrets over real HTTP; it schedules nothing.

Held to the API conventions for what clients rely on: Status objects, resourceVersion with conflicts, and
bearer tokens. Source: Kubernetes API v1 (core).
"""

from __future__ import annotations

__all__ = ["KubernetesApi"]

import base64
import binascii
import copy
import hmac
import re
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, cast
from uuid import uuid4

from aiohttp import web

_HOST = "127.0.0.1"
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_KINDS = {"namespaces": "Namespace", "resourcequotas": "ResourceQuota", "secrets": "Secret"}
_SEEDED = ("api-keys", "jwt-secret")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Refusal(Exception):  # noqa: N818 - an answer, not an error of this program
    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status, self.reason, self.message = status, reason, message
        super().__init__(message)

    def response(self) -> web.Response:
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.status,
        }
        return web.json_response(body, status=self.status)


class KubernetesApi:
    """Serves on a free port of 127.0.0.1, with `default` and two seeded secrets in it, as an async context manager."""

    def __init__(self, *, token: str) -> None:
        self._token = token
        self._objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._version = 0
        self._failures: deque[int | None] = deque()
        self._runner: web.AppRunner | None = None
        self._port = 0
        self._store("namespaces", "", {"metadata": {"name": "default"}})
        for name in _SEEDED:
            value = base64.b64encode(uuid4().hex.encode()).decode()
            self._store("secrets", "default", {"metadata": {"name": name}, "type": "Opaque", "data": {"value": value}})

    def __repr__(self) -> str:
        return f"KubernetesApi({self.url!r})"

    @property
    def url(self) -> str:
        """Where it serves, once started."""
        return f"http://{_HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Serve from now on."""
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/version", self._describe)
        one, many = "/{name}", "/api/v1/{kind:namespaces}"
        inner = "/api/v1/namespaces/{namespace}/{kind:resourcequotas|secrets}"
        for path in (many, inner):
            application.router.add_get(path, self._list)
            application.router.add_post(path, self._create)
            application.router.add_get(path + one, self._read)
            application.router.add_put(path + one, self._replace)
            application.router.add_patch(path + one, self._patch)
            application.router.add_delete(path + one, self._delete)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, 0)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def aclose(self) -> None:
        """Stop serving. May be called twice."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def fail_next(self, *statuses: int | None) -> None:
        """Refuse the next requests with these statuses, one each, changing nothing; None lets one through."""
        self._failures.extend(statuses)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            expected = f"Bearer {self._token}"
            if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
                raise _Refusal(401, "Unauthorized", "Unauthorized")
            status = self._failures.popleft() if self._failures else None
            if status is not None:
                raise _Refusal(status, "InternalError", "a failure was asked for")
            return await handler(request)
        except _Refusal as refusal:
            return refusal.response()
        except web.HTTPNotFound:
            return _Refusal(404, "NotFound", "the server could not find the requested resource").response()

    async def _describe(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the handler's signature
        return web.json_response({"major": "1", "minor": "31", "gitVersion": "v1.31.0+interlock-sandbox"})

    async def _list(self, request: web.Request) -> web.Response:
        kind, namespace = _place(request)
        items = [found for (k, n, _), found in sorted(self._objects.items()) if (k, n) == (kind, namespace)]
        metadata = {"resourceVersion": str(self._version)}
        body = {"kind": f"{_KINDS[kind]}List", "apiVersion": "v1", "metadata": metadata, "items": items}
        return web.json_response(body)

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response(self._found(request))

    async def _create(self, request: web.Request) -> web.Response:
        kind, namespace = _place(request)
        body = _valid(kind, await _body(request))
        name = body["metadata"]["name"]
        if namespace and ("namespaces", "", namespace) not in self._objects:
            raise _Refusal(404, "NotFound", f'namespaces "{namespace}" not found')
        if (kind, namespace, name) in self._objects:
            raise _Refusal(409, "AlreadyExists", f'{kind} "{name}" already exists')
        return web.json_response(self._store(kind, namespace, body), status=201)

    async def _replace(self, request: web.Request) -> web.Response:
        return self._change(request, await _body(request))

    async def _patch(self, request: web.Request) -> web.Response:
        if request.content_type not in {"application/merge-patch+json", "application/strategic-merge-patch+json"}:
            raise _Refusal(415, "UnsupportedMediaType", "only merge patches are understood here")
        return self._change(request, _merged(self._found(request), await _body(request)))

    async def _delete(self, request: web.Request) -> web.Response:
        kind, namespace = _place(request)
        found = self._found(request)
        name = found["metadata"]["name"]
        doomed = [key for key in self._objects if kind == "namespaces" and key[1] == name]
        for key in (*doomed, (kind, namespace, name)):
            del self._objects[key]
        return web.json_response({"kind": "Status", "apiVersion": "v1", "status": "Success"})

    def _change(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        kind, namespace = _place(request)
        found = self._found(request)
        name = found["metadata"]["name"]
        version = body.get("metadata", {}).get("resourceVersion")
        if version not in {None, found["metadata"]["resourceVersion"]}:
            message = f'Operation cannot be fulfilled on {kind} "{name}": the object has been modified'
            raise _Refusal(409, "Conflict", message)
        changed = _valid(kind, body)
        if changed["metadata"]["name"] != name:
            raise _Refusal(400, "BadRequest", "the name of the object does not match the name on the URL")
        return web.json_response(self._store(kind, namespace, changed, before=found))

    def _found(self, request: web.Request) -> dict[str, Any]:
        kind, namespace = _place(request)
        name = request.match_info["name"]
        found = self._objects.get((kind, namespace, name))
        if found is None:
            raise _Refusal(404, "NotFound", f'{kind} "{name}" not found')
        return found

    def _store(
        self, kind: str, namespace: str, body: Mapping[str, Any], *, before: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self._version += 1
        stored: dict[str, Any] = {**copy.deepcopy(dict(body)), "apiVersion": "v1", "kind": _KINDS[kind]}
        stored["metadata"] |= {
            "uid": before["metadata"]["uid"] if before else str(uuid4()),
            "resourceVersion": str(self._version),
            **({"namespace": namespace} if namespace else {}),
        }
        if kind == "namespaces":
            stored["status"] = {"phase": "Active"}
        if kind == "resourcequotas":
            hard = stored.get("spec", {}).get("hard", {})
            stored["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}
        self._objects[kind, namespace, stored["metadata"]["name"]] = stored
        return stored


def _place(request: web.Request) -> tuple[str, str]:
    return request.match_info["kind"], request.match_info.get("namespace", "")


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _Refusal(400, "BadRequest", "the body is not a JSON object")
    return cast("dict[str, Any]", body)


def _valid(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    if body.get("kind") != _KINDS[kind] or body.get("apiVersion") != "v1":
        raise _Refusal(400, "BadRequest", f"the body is not a v1 {_KINDS[kind]}")
    name = body.get("metadata", {}).get("name", "")
    form = _DNS_LABEL if kind == "namespaces" else _DNS_SUBDOMAIN
    if not isinstance(name, str) or not form.fullmatch(name):
        raise _Refusal(422, "Invalid", f"{_KINDS[kind]}: metadata.name: Invalid value")
    if kind == "secrets":
        plain = cast("dict[str, str]", body.pop("stringData", None) or {})
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        body = {**body, "data": {**(body.get("data") or {}), **encoded}}
        for key, value in body["data"].items():
            if not _SECRET_KEY.fullmatch(key) or not _is_base64(value):
                raise _Refusal(422, "Invalid", "Secret: data: Invalid value")
    return body


def _is_base64(value: object) -> bool:
    try:
        base64.b64decode(str(value), validate=True)
    except binascii.Error:
        return False
    return isinstance(value, str)


def _merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return RFC 7386's merge of a patch into an object."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            inner = merged.get(name)
            base = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
            merged[name] = _merged(base, cast("dict[str, Any]", value))
        else:
            merged[name] = value
    return merged
