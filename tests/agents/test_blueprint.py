"""What should be there, from names and settings; and who logs in to bring it about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock.agents.administering import management_of
from interlock.agents.blueprint import announcements, intended_topology, own_topology
from interlock.agents.settings import Settings
from interlock.bus.rabbitmq import ADMIN
from interlock.bus.transport import AgentQueue
from interlock.protocol.catalogue import CATALOGUE

TOPOLOGY = {
    "max_length": 10,
    "journal_max_age": 60.0,
    "agents": {"qa-agent": {"delivery_limit": 2}, "peer-agent": {"announcements": ["note"]}},
}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def settings(**members: Any) -> Settings:
    return Settings.load(members)


def test_limits_are_everybody_s_unless_an_agent_has_its_own_and_agents_of_the_settings_are_added() -> None:
    intended = intended_topology({"qa-agent", "devops-agent"}, settings(topology=TOPOLOGY).topology)

    assert intended.agents == (
        AgentQueue("devops-agent", max_length=10),
        AgentQueue("peer-agent", frozenset({"note"}), max_length=10),
        AgentQueue("qa-agent", delivery_limit=2, max_length=10),
    )
    assert intended.journal_max_age == 60.0


def test_an_agent_declares_its_own_part_with_what_it_asks_for() -> None:
    own = own_topology("peer-agent", frozenset({"beat"}), settings(topology=TOPOLOGY).topology)

    assert own.agents == (AgentQueue("peer-agent", frozenset({"note", "beat"}), max_length=10),)
    assert own.journal_max_age == 60.0


def test_announcements_are_what_may_be_sent_to_all() -> None:
    assert {"agent_heartbeat", "agent_offline"} <= announcements(CATALOGUE)
    assert "infrastructure_request" not in announcements(CATALOGUE)


def test_without_a_url_there_is_no_management_api() -> None:
    assert management_of(settings(broker_url="amqp://host/interlock")) is None


@pytest.mark.parametrize(
    ("broker", "login"),
    [
        ({"passwords": {ADMIN: "p@ss"}}, f"{ADMIN}:p%40ss"),
        ({"management_url": "http://operator:w%2Frd@host"}, "operator:w%2Frd"),
        ({"management_url": "http://operator:word@host", "passwords": {ADMIN: "pass"}}, f"{ADMIN}:pass"),
        ({"user": ADMIN, "password": "pass"}, f"{ADMIN}:pass"),
        ({}, "someone:else"),
    ],
)
def test_the_administrator_logs_in_with_the_nearest_password(broker: dict[str, object], login: str) -> None:
    (url,) = settings(broker_url="amqp://someone:else@host/interlock", broker=broker).administrator_urls(ADMIN)

    assert url == f"amqp://{login}@host/interlock"


def test_the_virtual_host_of_the_management_api_is_the_broker_url_s() -> None:
    management = management_of(settings(broker_url="amqp://host/mine", broker={"management_url": "https://host:443"}))

    assert management is not None
    assert (management.vhost, management.address) == ("mine", "host:443")
