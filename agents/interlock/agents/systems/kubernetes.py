"""Kubernetes as far as handing over a deployment environment goes: namespaces, quotas and secrets.

It knows no message and no deployment. Secret values go in and never come out, into a log, an error or a result.
Source: Kubernetes API v1 (core) and its API conventions.
"""

from __future__ import annotations

__all__ = ["Kubernetes", "KubernetesPort", "KubernetesSettings", "Namespace", "Quota", "parse_quantity"]

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, Self, cast

import aiohttp
from kubernetes_asyncio import client, config
from kubernetes_asyncio.config import incluster_config
from pydantic import BaseModel, ConfigDict, SecretStr

from interlock.agents.systems.outside import calling
from interlock.protocol.errors import PermanentError, TransientError, UsageError

_MANAGED = {"app.kubernetes.io/managed-by": "interlock"}
_QUOTA = "interlock"
_QUANTITY = re.compile(r"([+-]?[0-9]+(?:\.[0-9]*)?)(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}


@dataclass(frozen=True, slots=True)
class Namespace:
    """A namespace as it was read."""

    name: str
    phase: str
    """`Active` or `Terminating`."""


@dataclass(frozen=True, slots=True)
class Quota:
    """A resource quota as it was read; cores, bytes or counts."""

    namespace: str
    name: str
    hard: Mapping[str, Decimal]
    used: Mapping[str, Decimal]
    """Empty until the cluster's controller has counted."""


class KubernetesSettings(BaseModel):
    """How to reach a cluster: the API server with a token, a kubeconfig's context, or else as the pod that this is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    server: str | None = None
    token: SecretStr | None = None
    ca_file: Path | None = None
    kubeconfig: Path | None = None
    context: str | None = None
    service_account: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount")
    """Where Kubernetes mounts a pod's token, which changes, and the API server's authority."""
    timeout: float = 15.0
    """Seconds for one request."""


class KubernetesPort(Protocol):
    """What agents need of a cluster. Every `ensure` may be repeated, and returns what it then read back."""

    async def ensure_namespace(self, name: str) -> Namespace:
        """Make the namespace unless it is there."""
        ...

    async def ensure_quota(self, namespace: str, *, hard: Mapping[str, str]) -> Quota:
        """Make the namespace's quota exactly this, e.g. `{"limits.cpu": "6000m"}`."""
        ...

    async def ensure_secret(self, namespace: str, name: str, *, data: Mapping[str, SecretStr]) -> frozenset[str]:
        """Make the secret hold exactly these members; return their names."""
        ...

    async def namespace(self, name: str) -> Namespace | None:
        """Return the namespace, None when there is none."""
        ...

    async def quota(self, namespace: str) -> Quota | None:
        """Return the namespace's quota, None when there is none."""
        ...

    async def secret_keys(self, namespace: str, name: str) -> frozenset[str] | None:
        """Return the names of a secret's members, None when there is no such secret."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def parse_quantity(text: str) -> Decimal:
    """Return a Kubernetes quantity in base units: `2000m` is 2, `4Gi` is 4294967296. Raises UsageError."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not a Kubernetes quantity such as 500m or 4Gi")
    number, suffix = Decimal(match[1]), match[2]
    if suffix in _BINARY:
        return number * Decimal(2) ** _BINARY[suffix]
    return number.scaleb(_DECIMAL[suffix]) if suffix else number


class Kubernetes:
    """A live client of one API server; close it. Requests are bounded by the settings' timeout.

    Raises TransientError for 429, 5xx, conflicts and a server that cannot be reached, PermanentError for every other
    refusal. Errors name the object and the reason, and never quote an object's content.
    """

    def __init__(self, api: client.ApiClient, *, timeout: float) -> None:
        self._api = api
        # Untyped on purpose: the generated client has no annotations, and its answers are read as plain JSON here.
        self._core: Any = client.CoreV1Api(api)
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"Kubernetes({self._core.api_client.configuration.host!r})"

    @classmethod
    async def connect(cls, settings: KubernetesSettings) -> Self:
        """Return a client. Raises UsageError when the settings name no cluster, or one that the kubeconfig lacks."""
        configuration = client.Configuration()
        if settings.server is not None:
            configuration.host = settings.server.rstrip("/")
            configuration.ssl_ca_cert = str(settings.ca_file) if settings.ca_file else None
            if settings.token is not None:
                configuration.api_key = {"BearerToken": f"Bearer {settings.token.get_secret_value()}"}
        elif settings.kubeconfig is not None or settings.context is not None:
            load: Any = config.load_kube_config
            try:
                await load(
                    config_file=str(settings.kubeconfig) if settings.kubeconfig else None,
                    context=settings.context,
                    client_configuration=configuration,
                    persist_config=False,
                )
            except config.ConfigException as error:
                where = settings.kubeconfig or "the default place"
                raise UsageError(f"no usable context {settings.context!r} in the kubeconfig at {where}") from error
        else:
            _enter_as_pod(configuration, settings.service_account)
        return cls(client.ApiClient(configuration), timeout=settings.timeout)

    async def aclose(self) -> None:
        """Close the connections."""
        close: Any = self._api.close
        await close()

    async def ensure_namespace(self, name: str) -> Namespace:
        """Make the namespace unless it is there; raise TransientError while an old one of that name is going away."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": _MANAGED}}
        await self._create(f"namespace {name}", self._core.create_namespace, body)
        found = await self.namespace(name)
        if found is None or found.phase != "Active":
            raise TransientError(f"namespace {name} is being deleted; try again once it is gone")
        return found

    async def ensure_quota(self, namespace: str, *, hard: Mapping[str, str]) -> Quota:
        """Make the namespace's quota exactly this."""
        for value in hard.values():
            parse_quantity(value)
        subject = f"quota {_QUOTA} of namespace {namespace}"
        body = _object("ResourceQuota", _QUOTA, spec={"hard": dict(hard)})
        if not await self._create(subject, self._core.create_namespaced_resource_quota, namespace, body):
            found = await self._read(subject, self._core.read_namespaced_resource_quota, _QUOTA, namespace)
            if found is None or _quantities(found["spec"]["hard"]) != _quantities(hard):
                replacement = _replacing(body, found)
                await self._call(subject, self._core.replace_namespaced_resource_quota, _QUOTA, namespace, replacement)
        quota = await self.quota(namespace)
        if quota is None:
            raise TransientError(f"{subject} was deleted while it was made; try again")
        return quota

    async def ensure_secret(self, namespace: str, name: str, *, data: Mapping[str, SecretStr]) -> frozenset[str]:
        """Make the secret hold exactly these members; a concurrent change raises TransientError and is not lost."""
        subject = f"secret {name} of namespace {namespace}"
        encoded = {key: base64.b64encode(value.get_secret_value().encode()).decode() for key, value in data.items()}
        body = _object("Secret", name, type="Opaque", data=encoded)
        if not await self._create(subject, self._core.create_namespaced_secret, namespace, body):
            found = await self._read(subject, self._core.read_namespaced_secret, name, namespace)
            if found is None or (found.get("data") or {}) != encoded:
                await self._call(
                    subject, self._core.replace_namespaced_secret, name, namespace, _replacing(body, found)
                )
        keys = await self.secret_keys(namespace, name)
        if keys is None:
            raise TransientError(f"{subject} was deleted while it was made; try again")
        return keys

    async def namespace(self, name: str) -> Namespace | None:
        """Return the namespace, None when there is none."""
        found = await self._read(f"namespace {name}", self._core.read_namespace, name)
        return None if found is None else Namespace(name, found.get("status", {}).get("phase", "Active"))

    async def quota(self, namespace: str) -> Quota | None:
        """Return the namespace's quota, None when there is none."""
        subject = f"quota {_QUOTA} of namespace {namespace}"
        found = await self._read(subject, self._core.read_namespaced_resource_quota, _QUOTA, namespace)
        if found is None:
            return None
        hard, used = found["spec"].get("hard", {}), found.get("status", {}).get("used", {})
        return Quota(namespace, _QUOTA, hard=_quantities(hard), used=_quantities(used))

    async def secret_keys(self, namespace: str, name: str) -> frozenset[str] | None:
        """Return the names of a secret's members, None when there is no such secret."""
        subject = f"secret {name} of namespace {namespace}"
        found = await self._read(subject, self._core.read_namespaced_secret, name, namespace)
        return None if found is None else frozenset(found.get("data") or {})

    async def _create(self, subject: str, method: Callable[..., Any], *arguments: object) -> bool:
        """Return whether it was made now; False when it was there before."""
        status, _ = await self._request(subject, method, *arguments, accept=(201, 409))
        return status == 201

    async def _read(self, subject: str, method: Callable[..., Any], *arguments: object) -> Mapping[str, Any] | None:
        status, document = await self._request(subject, method, *arguments, accept=(200, 404))
        return document if status == 200 else None

    async def _call(self, subject: str, method: Callable[..., Any], *arguments: object) -> None:
        await self._request(subject, method, *arguments, accept=(200, 201))

    async def _request(
        self, subject: str, method: Callable[..., Any], *arguments: object, accept: tuple[int, ...]
    ) -> tuple[int, Mapping[str, Any]]:
        try:
            # Left undecoded: otherwise the generated client writes each answer, secrets included, to its debug log.
            with calling("kubernetes", method.__name__) as call:
                answer = await method(*arguments, _preload_content=False, _request_timeout=self._timeout)
                async with cast("aiohttp.ClientResponse", answer) as response:
                    document = await response.json(content_type=None) if response.status in accept else {}
                    reason = response.reason
                call.note("http.response.status_code", response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise TransientError(
                f"{subject}: the API server did not answer ({type(error).__name__}); try again"
            ) from error
        except ValueError as error:
            raise TransientError(f"{subject}: the API server's answer is no JSON; try again") from error
        if response.status in accept:
            return response.status, document
        problem = f"{subject}: the API server answered {response.status} {reason}"
        if response.status in {409, 429} or response.status >= 500:
            raise TransientError(f"{problem}; try again")
        if response.status in {401, 403}:
            raise PermanentError(f"{problem}; check the token and its role")
        raise PermanentError(problem)


def _enter_as_pod(configuration: client.Configuration, account: Path) -> None:
    loader = incluster_config.InClusterConfigLoader(
        token_filename=str(account / "token"), cert_filename=str(account / "ca.crt")
    )
    try:
        loader.load_and_set(configuration)
    except config.ConfigException as error:
        raise UsageError(
            "no Kubernetes cluster is configured: give server and token, or kubeconfig and context, "
            f"or run in a pod with a service account ({error})"
        ) from error


def _object(kind: str, name: str, **content: object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "labels": _MANAGED}, **content}


def _replacing(body: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a body that replaces only the version that was read."""
    if found is None:
        raise TransientError(f"{body['kind']} {body['metadata']['name']} was deleted while it was changed; try again")
    version = found["metadata"]["resourceVersion"]
    return {**body, "metadata": {**body["metadata"], "resourceVersion": version}}


def _quantities(texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {name: parse_quantity(text) for name, text in texts.items()}
