"""The live client against an API server over HTTP: idempotent, conflict-safe, and silent about values."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from interlock.agents.sandbox.certificates import CertificateAuthority
from interlock.agents.sandbox.kubernetes import KubernetesApi
from interlock.agents.systems.kubernetes import Kubernetes, KubernetesPort, KubernetesSettings, parse_quantity
from interlock.protocol.errors import PermanentError, TransientError, UsageError

TOKEN = "token-canary-31"
CANARY = "secret-canary-9d"


@pytest.fixture
async def server() -> AsyncIterator[KubernetesApi]:
    async with KubernetesApi(token=TOKEN) as server:
        yield server


@pytest.fixture
async def cluster(server: KubernetesApi) -> AsyncIterator[KubernetesPort]:
    cluster = await Kubernetes.connect(settings(server))
    yield cluster
    await cluster.aclose()


def settings(server: KubernetesApi, token: str = TOKEN) -> KubernetesSettings:
    return KubernetesSettings(server=server.url, token=SecretStr(token), timeout=5)


async def test_a_namespace_is_made_once_and_read_back(cluster: KubernetesPort) -> None:
    assert await cluster.namespace("shop") is None
    first = await cluster.ensure_namespace("shop")
    assert first == await cluster.ensure_namespace("shop") == await cluster.namespace("shop")
    assert first.phase == "Active"


async def test_a_quota_is_made_kept_and_changed(cluster: KubernetesPort) -> None:
    assert await cluster.quota("default") is None
    made = await cluster.ensure_quota("default", hard={"limits.cpu": "6000m", "limits.memory": "12Gi"})
    assert made.hard == {"limits.cpu": 6, "limits.memory": 12 * 1024**3}
    assert set(made.used.values()) == {Decimal(0)}
    assert await cluster.ensure_quota("default", hard={"limits.cpu": "6", "limits.memory": "12Gi"}) == made
    changed = await cluster.ensure_quota("default", hard={"limits.cpu": "8"})
    assert changed.hard == {"limits.cpu": 8}
    assert await cluster.quota("default") == changed


async def test_a_secret_holds_exactly_what_was_last_given(cluster: KubernetesPort) -> None:
    both = {"username": SecretStr("app"), "password": SecretStr(CANARY)}
    assert await cluster.ensure_secret("default", "database-credentials", data=both) == {"username", "password"}
    assert await cluster.ensure_secret("default", "database-credentials", data=both) == {"username", "password"}
    one = {"password": SecretStr(CANARY)}
    assert await cluster.ensure_secret("default", "database-credentials", data=one) == {"password"}


async def test_the_seeded_secrets_are_there_and_others_are_not(cluster: KubernetesPort) -> None:
    assert await cluster.secret_keys("default", "api-keys") == frozenset({"value"})
    assert await cluster.secret_keys("default", "jwt-secret") == frozenset({"value"})
    assert await cluster.secret_keys("default", "missing") is None


async def test_no_value_is_ever_logged(cluster: KubernetesPort, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for value in (CANARY, f"{CANARY}-changed"):
        await cluster.ensure_secret("default", "x", data={"password": SecretStr(value)})
    with pytest.raises(PermanentError) as refused:
        await cluster.ensure_secret("default", "x", data={"not a key": SecretStr(CANARY)})
    told = f"{caplog.text}{refused.value}{cluster!r}"
    encoded = "c2VjcmV0LWNhbmFyeS05Z"
    assert not [secret for secret in (CANARY, encoded, TOKEN) if secret in told]


async def test_many_may_ensure_the_same_at_once(cluster: KubernetesPort) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(cluster.ensure_namespace, "shop")
    assert await cluster.namespace("shop") is not None


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_or_broken_server_is_worth_another_try(
    server: KubernetesApi, cluster: KubernetesPort, status: int
) -> None:
    server.fail_next(status)
    with pytest.raises(TransientError, match=f"answered {status}"):
        await cluster.ensure_namespace("shop")
    assert (await cluster.ensure_namespace("shop")).name == "shop"


async def test_a_conflicting_change_is_not_overwritten(server: KubernetesApi, cluster: KubernetesPort) -> None:
    await cluster.ensure_quota("default", hard={"limits.cpu": "1"})
    server.fail_next(None, None, 409)
    with pytest.raises(TransientError, match="answered 409 Conflict; try again"):
        await cluster.ensure_quota("default", hard={"limits.cpu": "2"})
    assert (await cluster.ensure_quota("default", hard={"limits.cpu": "2"})).hard == {"limits.cpu": 2}


async def test_the_server_refuses_a_change_of_an_older_version(server: KubernetesApi, cluster: KubernetesPort) -> None:
    await cluster.ensure_quota("default", hard={"limits.cpu": "1"})
    path = f"{server.url}/api/v1/namespaces/default/resourcequotas/interlock"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        async with session.get(path) as answer:
            read = await answer.json()
        async with session.put(path, json=read) as answer:
            assert answer.status == 200
        async with session.put(path, json=read) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (409, "Conflict")


async def test_a_wrong_token_is_final(server: KubernetesApi) -> None:
    cluster = await Kubernetes.connect(settings(server, token="wrong"))
    with pytest.raises(PermanentError, match="401 Unauthorized; check the token"):
        await cluster.namespace("default")
    await cluster.aclose()


async def test_a_missing_namespace_is_named(cluster: KubernetesPort) -> None:
    with pytest.raises(PermanentError, match=r"secret x of namespace nowhere.*404"):
        await cluster.ensure_secret("nowhere", "x", data={"a": SecretStr("b")})


async def test_a_server_that_is_not_there_is_transient(free_tcp_port: int) -> None:
    cluster = await Kubernetes.connect(KubernetesSettings(server=f"http://127.0.0.1:{free_tcp_port}", timeout=2))
    with pytest.raises(TransientError, match="did not answer"):
        await cluster.namespace("default")
    await cluster.aclose()


async def test_a_kubeconfig_gives_server_and_token(server: KubernetesApi, tmp_path: Path) -> None:
    file = tmp_path / "config"
    await anyio.Path(file).write_text(
        f"""
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{server.url}"}}}}]
users: [{{name: u, user: {{token: "{TOKEN}"}}}}]
contexts: [{{name: here, context: {{cluster: c, user: u}}}}]
current-context: here
"""
    )
    cluster = await Kubernetes.connect(KubernetesSettings(kubeconfig=file, context="here"))
    assert await cluster.namespace("default") is not None
    await cluster.aclose()
    with pytest.raises(UsageError, match="no usable context 'elsewhere'"):
        await Kubernetes.connect(KubernetesSettings(kubeconfig=file, context="elsewhere"))


async def test_a_pods_service_account_is_used_when_nothing_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = CertificateAuthority("cluster")
    issued = authority.issue("api-server")
    for name, content in {"ca.crt": authority.certificate, "server.crt": issued.certificate, "key": issued.key}.items():
        await anyio.Path(tmp_path / name).write_bytes(content)
    await anyio.Path(tmp_path / "token").write_text(TOKEN)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "key")
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.json_response({"metadata": {"name": "shop"}, "status": {"phase": "Active"}})

    application = web.Application()
    application.router.add_get("/api/v1/namespaces/shop", answer)
    server = TestServer(application, scheme="https")
    await server.start_server(ssl=tls)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    cluster = await Kubernetes.connect(KubernetesSettings(service_account=tmp_path))
    try:
        found = await cluster.namespace("shop")
    finally:
        await cluster.aclose()
        await server.close()

    assert found is not None
    assert seen == [f"Bearer {TOKEN}"]


async def test_no_cluster_configured_says_what_to_give() -> None:
    with pytest.raises(UsageError, match="give server and token, or kubeconfig"):
        await Kubernetes.connect(KubernetesSettings())


@pytest.mark.parametrize(
    ("text", "value"), [("2000m", "2"), ("4Gi", "4294967296"), ("3", "3"), ("1.5k", "1500"), ("100n", "1E-7")]
)
def test_quantities_are_read_in_base_units(text: str, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "4GB", "1 Gi", "Gi", "1e", "--1", "1\n"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a Kubernetes quantity"):
        parse_quantity(text)
