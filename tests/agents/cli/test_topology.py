"""`interlock topology` as operators run it, against a real broker that differs in every way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from anyio.from_thread import BlockingPortal, start_blocking_portal

from agents.cli.running import interlock
from interlock.agents.permissions import allowed_rows
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import ADMIN, VHOST, definitions
from interlock.protocol.roles import ALL_ROLES

USERS = definitions(allowed_rows())


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    with start_blocking_portal("asyncio") as portal:
        yield portal


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, portal: BlockingPortal) -> Iterator[PrivateBroker]:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    private = PrivateBroker(tmp_path_factory.mktemp("broker"), definitions=USERS, management=True)
    with portal.wrap_async_context_manager(private):
        yield private


@pytest.fixture
def channel(broker: PrivateBroker, portal: BlockingPortal) -> Iterator[AbstractChannel]:
    async def opened() -> AbstractChannel:
        connection = await aio_pika.connect(broker.url())
        return await connection.channel()

    async def closed(channel: AbstractChannel) -> None:
        await (await channel.get_underlay_channel()).connection.close()

    channel = portal.call(opened)
    yield channel
    portal.call(closed, channel)


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def settings(broker: PrivateBroker, **more: str) -> dict[str, str]:
    return {
        "INTERLOCK_BROKER_URL": f"amqp://127.0.0.1:{broker.port}/{VHOST}",
        "INTERLOCK_BROKER__MANAGEMENT_URL": broker.management_url(),
        **more,
    }


def blind(broker: PrivateBroker) -> dict[str, str]:
    return {
        "INTERLOCK_BROKER_URL": f"amqp://127.0.0.1:{broker.port}/{VHOST}",
        "INTERLOCK_BROKER__PASSWORDS": json.dumps({ADMIN: USERS.passwords[ADMIN]}),
    }


@pytest.mark.rabbitmq
def test_the_way_from_an_empty_broker_over_every_kind_of_difference_and_back(
    broker: PrivateBroker, channel: AbstractChannel, portal: BlockingPortal
) -> None:
    given = settings(broker)
    empty = interlock("topology", "plan", "--check", settings=given)
    assert empty.exit_code == 1
    assert "  + exchange interlock.messages (topic, durable)" in empty.stdout
    assert "33 to add, 0 to replace, 0 too many" in empty.stdout

    assert interlock("topology", "apply", settings=given).exit_code == 0
    assert interlock("topology", "plan", "--check", settings=given).stdout == "the broker is as it should be\n"
    without = interlock("topology", "plan", "--check", settings=blind(broker))
    assert without.exit_code == 0
    assert "not looked at: orphans and bindings" in without.stderr

    portal.call(spoil, channel)
    smaller = settings(broker, INTERLOCK_TOPOLOGY__AGENTS='{"deploy-agent": {"max_length": 500}}')
    planned = interlock("topology", "plan", "--json", settings=smaller)
    document = json.loads(planned.stdout)
    assert planned.exit_code == 0
    assert [entry["name"] for entry in document["changes"]] == ["deploy-agent", "qa-agent"]
    assert {entry["item"].split(" (")[0] for entry in document["orphans"]} == {"queue old-agent", "queue older-agent"}
    assert "a policy can lower x-max-length" in planned.stderr

    refused = interlock("topology", "apply", settings=smaller)
    assert refused.exit_code == 1
    assert "+ queue security-agent" in refused.stdout
    assert "stop deploy-agent, qa-agent; `interlock topology apply --migrate`; start again" in refused.stdout

    moved = interlock("topology", "apply", "--migrate", "--json", settings=smaller)
    assert moved.exit_code == 0
    assert json.loads(moved.stdout)["replaced"] == ["deploy-agent", "qa-agent"]
    assert portal.call(first, channel, "qa-agent") == (b"kept", ADMIN, "qa-agent.ping")

    assert "nothing was deleted: give --yes" in interlock("topology", "prune", settings=smaller).stderr
    assert interlock("topology", "prune", settings=smaller).exit_code == 3
    assert interlock("topology", "prune", "--yes", "--dry-run", settings=smaller).exit_code == 0
    pruned = interlock("topology", "prune", "--yes", settings=smaller)
    assert pruned.exit_code == 1
    assert "  - queue old-agent\n" in pruned.stdout
    assert "queue older-agent was left: it holds 1 messages" in pruned.stdout
    assert interlock("topology", "prune", "--yes", settings=blind(broker)).exit_code == 2


async def spoil(channel: AbstractChannel) -> None:
    for missing in ("security-agent", "qa-agent"):
        await channel.queue_delete(missing)
    plain = await channel.declare_queue("qa-agent", durable=True)  # not even a quorum queue
    await plain.bind("interlock.messages", "qa-agent.#")
    messages = await channel.get_exchange("interlock.messages")
    await messages.publish(aio_pika.Message(b"kept", user_id=ADMIN), "qa-agent.ping")
    for extra in ("old-agent", "older-agent"):
        queue = await channel.declare_queue(extra, durable=True, arguments={"x-queue-type": "quorum"})
        await queue.bind("interlock.messages", f"{extra}.#")
    await messages.publish(aio_pika.Message(b"{}"), "older-agent.ping")


async def first(channel: AbstractChannel, name: str) -> tuple[bytes, str | None, str | None]:
    async with (await channel.get_queue(name)).iterator(timeout=10) as messages:
        message = await anext(messages)
        await message.ack()
        return message.body, message.user_id, message.routing_key


@pytest.mark.rabbitmq
def test_a_wrong_password_for_either_way_is_one_line_and_a_failure(broker: PrivateBroker) -> None:
    wrong = blind(broker) | {"INTERLOCK_BROKER__PASSWORDS": json.dumps({ADMIN: "wrong"})}
    refused = interlock("topology", "plan", settings=wrong)
    assert refused.exit_code == 1
    assert "refused the credentials of interlock-admin" in refused.stderr

    url = f"http://{ADMIN}:wrong@127.0.0.1:{broker.management_url().rpartition(':')[2]}"
    refused = interlock("topology", "plan", settings=blind(broker) | {"INTERLOCK_BROKER__MANAGEMENT_URL": url})
    assert refused.exit_code == 1
    assert "check the password, and that the user has the tag" in refused.stderr


def test_without_a_broker_the_command_says_what_to_set() -> None:
    refused = interlock("topology", "plan")

    assert refused.exit_code == 2
    assert "no broker is set" in refused.stderr


def test_definitions_hold_hashes_and_passwords_go_where_only_their_owner_reads(tmp_path: Path) -> None:
    written = interlock("topology", "definitions", "--passwords", "passwords.tsv", "--json")

    assert written.exit_code == 0
    passwords = dict(line.split("\t") for line in (tmp_path / "passwords.tsv").read_text().splitlines())
    document = (tmp_path / "definitions.json").read_text()
    assert set(passwords) == {user["name"] for user in json.loads(document)["users"]} == {ADMIN, *ALL_ROLES}
    assert [name for name, password in passwords.items() if password in document + written.output] == []
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}


def test_definitions_without_a_file_hand_the_passwords_over_on_standard_output() -> None:
    written = interlock("topology", "definitions")

    assert {line.split()[0] for line in written.stdout.splitlines()} == {"user", ADMIN, *ALL_ROLES}


def test_an_observer_that_no_message_names_is_refused() -> None:
    refused = interlock("topology", "definitions", "--observer", "nobody")

    assert refused.exit_code == 2
    assert "no message names nobody" in refused.stderr


@pytest.mark.rabbitmq
def test_an_agent_that_may_declare_and_finds_another_queue_ends_with_what_to_do(
    broker: PrivateBroker, channel: AbstractChannel, portal: BlockingPortal, tmp_path: Path
) -> None:
    async def other() -> None:
        await channel.queue_delete("peer-agent")
        await channel.declare_queue("peer-agent", durable=True, arguments={"x-queue-type": "quorum"})

    portal.call(other)
    program = tmp_path / "peer.py"
    program.write_text("from interlock.agents import Agent\nAgent('peer-agent').run()\n")
    finished = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"INTERLOCK_BROKER_URL": broker.url()},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert finished.returncode == 1
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("queue 'peer-agent' on the broker differs from what was asked for")
    assert "has none, wants" in last
    assert "`interlock topology plan`" in last
    assert "Traceback" not in finished.stderr
