"""Generated users and permissions, before any broker reads them."""

from __future__ import annotations

import json
import re

from interlock.bus.rabbitmq import ADMIN, definitions

ROWS = {"alpha-agent": {("beta-agent", "ping"), ("all", "pong")}, "beta-agent": set()}


def topic_row(user: str, exchange: str) -> dict[str, str]:
    rows = definitions(ROWS, observers={"beta-agent"}).document["topic_permissions"]
    return next(row for row in rows if (row["user"], row["exchange"]) == (user, exchange))


def test_every_agent_and_the_administrator_get_a_password_of_their_own() -> None:
    passwords = definitions(ROWS).passwords
    assert set(passwords) == {ADMIN, "alpha-agent", "beta-agent"}
    assert len(set(passwords.values())) == 3


def test_a_password_that_is_given_is_used() -> None:
    assert definitions(ROWS, passwords={"alpha-agent": "given"}).passwords["alpha-agent"] == "given"


def test_neither_the_document_nor_its_representation_contains_a_password() -> None:
    generated = definitions(ROWS)
    for password in generated.passwords.values():
        assert password not in generated.to_json()
        assert password not in repr(generated)


def test_the_document_is_json_that_names_every_user_once() -> None:
    users = [user["name"] for user in json.loads(definitions(ROWS).to_json())["users"]]
    assert sorted(users) == sorted({ADMIN, "alpha-agent", "beta-agent"})


def test_a_row_permits_its_receiver_s_address_and_reply_addresses_and_nothing_else() -> None:
    pattern = re.compile(topic_row("alpha-agent", "interlock.messages")["write"])
    for permitted in ("beta-agent.ping", "reply.beta-agent.0a1b.ping", "all.pong"):
        assert pattern.search(permitted)
    for denied in ("beta-agent.pong", "beta-agentXping", "all.ping", "gamma-agent.ping", "x.beta-agent.ping"):
        assert not pattern.search(denied)


def test_an_agent_without_a_row_may_write_nothing() -> None:
    assert not re.search(topic_row("beta-agent", "interlock.messages")["write"], "alpha-agent.ping")


def test_only_observers_may_bind_to_the_journal() -> None:
    assert not re.search(topic_row("alpha-agent", "interlock.journal")["read"], "#")
    assert re.search(topic_row("beta-agent", "interlock.journal")["read"], "#")


def test_no_agent_may_use_the_default_exchange() -> None:
    for row in definitions(ROWS).document["permissions"]:
        if row["user"] != ADMIN:
            assert not re.search(row["write"], "amq.default")
            assert not re.search(row["write"], "")
