"""The Compose file says what the product understands: commands, settings, secrets, addresses; and a broker loads it."""

from __future__ import annotations

import json
import re
import runpy
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import asyncpg
import pytest
from ruamel.yaml import YAML

from deploy.known import command_exists, setting_exists
from interlock.bus.clock import VirtualClock
from interlock.bus.connect import open_transport
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.private_postgres import PrivatePostgres, find_postgres
from interlock.bus.rabbitmq import ADMIN, Definitions
from interlock.bus.store.opening import open_store
from interlock.bus.store.postgres.store import migrate_schema
from interlock.bus.store.records import InboxMessage
from interlock.protocol.ids import new_id
from interlock.protocol.roles import TEAM

FOLDER = Path(__file__).parents[2] / "deploy" / "compose"
COMPOSE: Mapping[str, Any] = YAML(typ="safe").load(FOLDER / "compose.yaml")
SERVICES: Mapping[str, Mapping[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "interlock:local"}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    runpy.run_path(str(FOLDER / "prepare.py"))["prepare"](folder)
    return folder


def mounted(service: Mapping[str, Any], below: str) -> Iterator[str]:
    """Return the sources of what a service mounts, relative to the Compose file."""
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        if source.startswith(below):
            yield source


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    assert command_exists(OURS[name]["command"])


@pytest.mark.parametrize("name", OURS)
def test_every_setting_exists(name: str) -> None:
    settings = [key for key in OURS[name]["environment"] if key.startswith("INTERLOCK_")]
    assert settings
    assert [key for key in settings if not setting_exists(key)] == []


def test_every_secret_that_is_made_is_a_setting(secrets: Path) -> None:
    made = [file for file in secrets.glob("*/*") if file.parent.name not in ("rabbitmq", "postgres", "grafana")]

    assert made
    assert [file for file in made if not setting_exists(file.name)] == []


def test_every_agent_of_the_team_is_a_service() -> None:
    running = {service["command"][1] for service in OURS.values() if service["command"][0] == "run"}

    assert running == set(TEAM)


@pytest.mark.parametrize("name", SERVICES)
def test_everything_that_is_mounted_is_there(name: str, secrets: Path) -> None:
    for source in mounted(SERVICES[name], "./"):
        path = Path(source)
        if path.name == "interlock.toml":
            path = path.with_name("interlock.example.toml")
        found = secrets.parent / path if path.parts[0] == "secrets" else FOLDER / path
        assert found.exists(), source
    for source in mounted(SERVICES[name], "../"):
        assert (FOLDER / source).exists(), source


def test_an_agent_sees_no_secret_of_another() -> None:
    for name in TEAM:
        assert list(mounted(SERVICES[name], "./secrets")) == [f"./secrets/{name}"]


def test_only_loopback_is_published_and_only_by_networks_that_can() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
            assert "published" in service["networks"], name


def test_every_service_is_bounded_and_pinned() -> None:
    for name, service in SERVICES.items():
        assert "mem_limit" in service or name in ("topology", "migrate"), name
        assert re.fullmatch(r"[\w./-]+:(local|v?\d+\.\d+[\w.-]*)", service["image"]), name


def test_agents_keep_a_read_only_root_and_no_capability() -> None:
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name


def test_prometheus_asks_services_that_there_are() -> None:
    scraped = (FOLDER / "prometheus" / "prometheus.yaml").read_text()
    listed = re.search(r"names: \[(.+)\]", scraped)
    assert listed is not None

    assert set(listed[1].split(", ")) == set(TEAM)
    assert set(re.findall(r"(rabbitmq-\d):15692", scraped)) <= set(SERVICES)


def test_the_nodes_name_each_other() -> None:
    written = (FOLDER / "rabbitmq" / "rabbitmq.conf").read_text()
    nodes = re.findall(r"classic_config\.nodes\.\d = rabbit@(\S+)", written)

    assert nodes == [name for name in SERVICES if name.startswith("rabbitmq-")]
    assert [SERVICES[name]["hostname"] for name in nodes] == nodes


def test_others_on_the_machine_cannot_reach_the_secrets(secrets: Path) -> None:
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700


def test_what_was_made_is_never_made_anew(secrets: Path) -> None:
    with pytest.raises(FileExistsError):
        runpy.run_path(str(FOLDER / "prepare.py"))["prepare"](secrets)


@pytest.mark.rabbitmq
async def test_a_broker_loads_the_users_and_lets_them_in(secrets: Path, tmp_path: Path) -> None:
    document = json.loads((secrets / "rabbitmq" / "definitions.json").read_text())
    passwords = {name: (secrets / name / "broker.password").read_text() for name in (*TEAM, "interlock-admin")}

    async with PrivateBroker(tmp_path, definitions=Definitions(document, passwords)) as broker:
        for name in passwords:
            transport = await open_transport(broker.url(name), identity=name)
            await transport.aclose()


@pytest.mark.postgres
async def test_each_agents_role_works_in_its_own_schema_and_in_no_other(secrets: Path, tmp_path: Path) -> None:
    async with PrivatePostgres(tmp_path) as server:
        await anyio.run_process(
            [str(find_postgres() / "psql"), "--no-psqlrc", "--set=ON_ERROR_STOP=1", server.url()],
            input=(secrets / "postgres" / "databases.sql").read_bytes(),
        )
        urls = {
            name: (secrets / name / "store_url").read_text().replace("@postgres:5432/", f"@127.0.0.1:{server.port}/")
            for name in (*TEAM, ADMIN)
        }
        for agent in TEAM:
            await anyio.to_thread.run_sync(partial(migrate_schema, urls[ADMIN], agent=agent, now=0))
        clock = VirtualClock()
        for agent in TEAM:
            store = await open_store(urls[agent], agent=agent, clock=clock)
            await store.receive(
                InboxMessage(
                    message_id=new_id(),
                    sender="console",
                    type="task_cancelled",
                    conversation_id=new_id(),
                    body=b"{}",
                    received_at=clock.now(),
                )
            )
            assert (await store.counts()).ready == 1
            await store.aclose()

        intruder = await asyncpg.connect(urls["qa-agent"])
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await intruder.fetch('SELECT count(*) FROM "devops-agent".inbox')
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await intruder.execute('DROP TABLE "qa-agent".inbox')
        finally:
            await intruder.close()
