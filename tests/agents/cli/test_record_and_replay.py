"""`interlock record` and `interlock replay`: from a journal or a store to a file, and onto a bus again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from agents.cli.running import interlock
from interlock.agents.cli.toml import render_toml
from interlock.agents.cli.when import moment
from interlock.agents.permissions import allowed_rows
from interlock.bus.clock import VirtualClock
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import ADMIN, VHOST, RabbitTransport, definitions
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import conversation_of
from interlock.protocol.message import Message
from interlock.protocol.messages.change import ChangeRequested
from interlock.protocol.recording import normalised, read
from interlock.protocol.roles import ALL_ROLES, CONSOLE, COORDINATOR
from store_rows import incoming

CORPUS = Path(__file__).parents[2] / "recordings"
RECORDING = CORPUS / "budget-denied.jsonl"
SAID = read(RECORDING.read_bytes())


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The settings of a team on a private broker, as `interlock broker up` writes them."""
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    folder = tmp_path_factory.mktemp("rabbitmq")
    users = definitions(allowed_rows(), observers=(CONSOLE,))
    broker = PrivateBroker(folder / "broker", definitions=users)

    async def declare() -> None:
        transport = await RabbitTransport.connect(broker.url(), identity=ADMIN, journal=False)
        await transport.declare(Topology(tuple(AgentQueue(name) for name in ALL_ROLES)))
        await transport.aclose()

    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(broker):
        portal.call(declare)
        passwords = {name: password for name, password in users.passwords.items() if name != ADMIN}
        members = {"broker_url": f"amqp://127.0.0.1:{broker.port}/{VHOST}", "broker": {"passwords": passwords}}
        (folder / "interlock.toml").write_text(render_toml(members))
        yield {"INTERLOCK_CONFIG": str(folder / "interlock.toml")}


def sent(document: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(document)["sent"]
    return found


@pytest.mark.rabbitmq
def test_what_is_replayed_is_in_the_journal_and_recorded_again(settings: dict[str, str], tmp_path: Path) -> None:
    replayed = interlock("replay", RECORDING, "--json", settings=settings)
    assert replayed.exit_code == 0, replayed.stderr
    conversation = sent(replayed.stdout)[0]["conversationId"]

    file = tmp_path / "again.jsonl"
    recorded = interlock("record", conversation, "--since", "1h", "-o", file, "--json", settings=settings)

    assert recorded.exit_code == 0, recorded.stderr
    assert json.loads(recorded.stdout) == {
        "file": str(file),
        "messages": len(SAID),
        "conversations": [conversation],
    }
    assert normalised(read(file.read_bytes())) == normalised(SAID)


@pytest.mark.rabbitmq
def test_only_one_agents_inbox_is_filled_with_the_ids_that_it_had(settings: dict[str, str]) -> None:
    replayed = interlock("replay", RECORDING, "--to", CONSOLE, "--keep-ids", "--json", settings=settings)

    assert replayed.exit_code == 0, replayed.stderr
    assert [message["id"] for message in sent(replayed.stdout)] == [e.id for e in SAID if e.receiver == CONSOLE]


@pytest.mark.rabbitmq
def test_recorded_pauses_are_kept_at_any_speed(settings: dict[str, str]) -> None:
    expected = (SAID[-1].sent_at - SAID[0].sent_at).total_seconds() / 2
    begun = datetime.now(UTC)

    assert interlock("replay", RECORDING, "--speed", "2", settings=settings).exit_code == 0

    assert (datetime.now(UTC) - begun).total_seconds() >= expected


@pytest.mark.rabbitmq
def test_without_a_senders_login_nothing_is_sent(settings: dict[str, str], tmp_path: Path) -> None:
    text = Path(settings["INTERLOCK_CONFIG"]).read_text()
    poorer = tmp_path / "interlock.toml"
    poorer.write_text("\n".join(line for line in text.splitlines() if not line.startswith('devops-agent = "')))

    refused = interlock("replay", RECORDING, settings={"INTERLOCK_CONFIG": str(poorer)})

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "there is no login for devops-agent, as whom messages would be sent; nothing was sent" in refused.stderr


def test_a_dry_run_shows_what_would_be_sent_and_needs_no_broker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = interlock("replay", RECORDING, "--to", COORDINATOR, "--dry-run")

    assert shown.exit_code == 0, shown.stderr
    lines = shown.stdout.splitlines()[1:]
    assert [line.split()[2:5] for line in lines] == [
        [e.sender, e.receiver, e.type] for e in SAID if e.receiver == COORDINATOR
    ]
    assert f"{len(lines)} messages would be sent; nothing was" in shown.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--to", "qa-agent"], "has no message to qa-agent"),
        (["--as-recorded", "--speed", "2"], "--as-recorded is --speed 1"),
    ],
)
def test_a_replay_of_nothing_or_of_both_is_refused(arguments: list[str], problem: str) -> None:
    refused = interlock("replay", RECORDING, "--dry-run", *arguments)

    assert refused.exit_code == 2
    assert problem in refused.stderr


def test_one_wrong_line_keeps_all_from_being_sent(tmp_path: Path) -> None:
    file = tmp_path / "edited.jsonl"
    first, second, *_ = RECORDING.read_text().splitlines()
    file.write_text(f"{first}\n\n{second.replace('coordinator', 'qa-agent', 1)}\n")

    refused = interlock("replay", file, "--dry-run")

    assert refused.exit_code == 1
    assert f"{file}:3: type: qa-agent may not send requirements_analysis_request to devops-agent" in refused.stderr


async def store_of(folder: Path, envelopes: list[Envelope[Message]]) -> Path:
    """Make the store of a coordinator that has taken these in."""
    path = folder / f"{COORDINATOR}.sqlite"
    store = await SqliteStore.open(path, agent=COORDINATOR, clock=VirtualClock())
    for envelope in envelopes:
        await store.receive(incoming(envelope.id, conversation=envelope.conversation_id, body=encode(envelope)))
    await store.aclose()
    return path


def requested(issue: str, by: str) -> Envelope[Message]:
    return Envelope.wrap(
        ChangeRequested(jira_issue=issue, requested_by=by),
        sender=CONSOLE,
        receiver=COORDINATOR,
        sent_at=datetime(2026, 1, 31, 9, tzinfo=UTC),
        conversation_id=conversation_of(issue),
    )


async def test_a_store_or_a_folder_of_stores_is_recorded_redacted(tmp_path: Path) -> None:
    mine, other = requested("PROJ-140", "kim@corp.example of Acme"), requested("PROJ-141", "kim")
    path = await store_of(tmp_path, [mine, other])

    for store in (path, tmp_path):
        recorded = interlock("record", "PROJ-140", "--store", store, "--redact", "acme")

        assert recorded.exit_code == 0, recorded.stderr
        (envelope,) = read(recorded.stdout_bytes)
        assert envelope.id == mine.id
        assert envelope.payload == ChangeRequested(
            jira_issue="PROJ-140", requested_by="person-1@example.com of redacted-1"
        )


async def test_conditions_hold_all_at_once(tmp_path: Path) -> None:
    path = await store_of(tmp_path, [requested("PROJ-140", "kim"), requested("PROJ-141", "kim")])

    def found(*conditions: str) -> int:
        recorded = interlock("record", "--store", path, *conditions)
        return len(read(recorded.stdout_bytes)) if recorded.exit_code == 0 else 0

    assert found() == 2
    assert found("--type", "change_requested", "--agent", "console") == 2
    assert found("PROJ-141", "--since", "2026-01-31T09:00:00+00:00") == 1
    assert found("--until", "2026-01-31T09:00:00+00:00") == 0
    assert found("--agent", "qa-agent") == 0


def test_a_recording_of_nothing_is_refused(tmp_path: Path) -> None:
    refused = interlock("record", "--store", tmp_path)

    assert refused.exit_code == 2
    assert f"there is no store in {tmp_path}" in refused.stderr


def test_a_moment_is_a_time_or_how_long_ago() -> None:
    now = datetime(2026, 1, 31, 9, tzinfo=UTC)

    assert moment(None, now=now) is None
    assert moment("90m", now=now) == now - timedelta(minutes=90)
    assert moment("7d", now=now) == now - timedelta(days=7)
    assert moment("2026-01-31T09:00:00+09:00", now=now) == datetime(2026, 1, 31, 0, tzinfo=UTC)
    with pytest.raises(UsageError, match="'yesterday' is no moment"):
        moment("yesterday", now=now)
