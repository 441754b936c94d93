"""`interlock dead` beside an agent that does not run: its store is read and repaired by the command itself."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from agents.cli.dead_letters import AGENT, bury, given_up, open_store, states
from agents.cli.running import interlock
from bus.store.harness import AGENT as SHARED
from bus.store.harness import PostgresHarness
from interlock.agents.cli.letter_box import LetterBox
from interlock.agents.cli.letters import Address, Found, Selection
from interlock.agents.cli.output import Output
from interlock.agents.cli.repairing import Workshop
from interlock.agents.settings import Settings
from interlock.bus.clock import SystemClock, VirtualClock
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.records import InboxState
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import conversation_of
from interlock.protocol.messages.repair import (
    DeadLetter,
    DeadLettersReport,
    DeadLettersRequest,
    DeadLetterState,
    RepairAction,
)


def test_without_a_dead_letter_that_is_said(state_dir: Path) -> None:
    given_up(state_dir)
    shown = interlock("dead", "list")
    assert (shown.exit_code, shown.stdout) == (0, "there are no dead letters\n")


def test_without_stores_it_says_where_it_looked(state_dir: Path) -> None:
    shown = interlock("dead", "list", settings={"INTERLOCK_STATE_DIR": str(state_dir / "nowhere")})
    assert shown.exit_code == 2
    assert "no stores of agents here" in shown.stderr


def test_letters_are_grouped_by_what_failed_the_most_frequent_first(state_dir: Path) -> None:
    given_up(state_dir, "no bucket", "no disk for 0199aaaa-0000-7000-8000-000000000001")
    given_up(state_dir, "no disk for 0199aaaa-0000-7000-8000-000000000002")
    given_up(state_dir, "no disk for 0199aaaa-0000-7000-8000-000000000003", agent="qa-agent")
    shown = interlock("dead", "list")
    lines = shown.stdout.splitlines()
    assert lines[0] == "3 x no disk for …"
    assert lines[1:3] == ["    backend-agent: infrastructure_ready, dead", "    qa-agent: infrastructure_ready, dead"]
    assert lines[4] == "    backend-agent/2 backend-agent/3 qa-agent/1"
    assert lines[5] == "1 x no bucket"
    assert "parked messages of backend-agent, qa-agent are not looked at" in shown.stderr
    document = json.loads(interlock("dead", "list", "--json").stdout)
    assert [(group["reason"], group["count"]) for group in document["groups"]] == [
        ("no disk for …", 3),
        ("no bucket", 1),
    ]
    assert document["letters"][0]["id"] == "backend-agent/1"


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--agent", "qa-agent"), 1),
        (("--type", "plan_ready"), 0),
        (("--issue", "PROJ-140"), 3),
        (("--issue", "PROJ-141"), 0),
        (("--conversation", conversation_of("PROJ-140")), 3),
        (("--failed-with", "DISK"), 2),
    ],
)
def test_letters_are_selected_by_what_they_are(state_dir: Path, options: tuple[str, ...], count: int) -> None:
    given_up(state_dir, "no bucket", "no disk")
    given_up(state_dir, "no disk", agent="qa-agent")
    assert len(json.loads(interlock("dead", "list", *options, "--json").stdout)["letters"]) == count


def test_a_letter_is_shown_with_every_attempt_and_without_its_payload(state_dir: Path) -> None:
    given_up(state_dir, "no \x1b[2Jbucket")
    shown = interlock("dead", "show", "backend-agent/1").stdout
    assert shown.startswith("backend-agent/1 is dead: infrastructure_ready\n")
    assert "no \\x1b[2Jbucket" in shown
    assert "\x1b" not in shown
    assert "Retried, backend-agent handles it with all its attempts anew" in shown
    assert "secretName" not in shown
    assert "secretName" in interlock("dead", "show", "backend-agent/1", "--payload").stdout


@pytest.mark.parametrize("letter", ["backend-agent", "backend-agent/", "/1", "backend-agent/x", "backend-agent/9"])
def test_what_names_no_letter_is_a_usage_error(state_dir: Path, letter: str) -> None:
    given_up(state_dir, "no bucket")
    shown = interlock("dead", "show", letter)
    assert shown.exit_code == 2
    assert "dead list" in shown.stderr


def test_a_retry_is_on_record_and_gives_the_message_its_attempts_again(state_dir: Path) -> None:
    given_up(state_dir, "no bucket", "no disk")
    done = interlock("dead", "retry", "backend-agent/1", "--as", "dana", "--reason", "it is there now")
    assert (done.exit_code, done.stdout) == (0, "backend-agent/1  retried\n")
    assert states(state_dir) == [InboxState.READY, InboxState.DEAD]
    shown = interlock("dead", "show", "backend-agent/1").stdout
    assert "dana  retry  it is there now" in shown


def test_a_dry_run_says_what_would_be_done_and_does_nothing(state_dir: Path) -> None:
    given_up(state_dir, "no bucket", "no bucket")
    done = interlock("dead", "retry", "--all", "--dry-run")
    assert done.exit_code == 0
    assert done.stdout.endswith("2 would be given to retry; nothing was done\n")
    assert states(state_dir) == [InboxState.DEAD, InboxState.DEAD]


def test_repairs_without_a_name_are_refused(state_dir: Path) -> None:
    given_up(state_dir, "no bucket")
    for arguments in (("retry", "--all"), ("drop", "--all", "--reason", "noise")):
        done = interlock("dead", *arguments)
        assert done.exit_code == 2
        assert "--as PERSON is missing" in done.stderr
    assert states(state_dir) == [InboxState.DEAD]


@pytest.mark.parametrize("arguments", [(), ("backend-agent/1", "--all"), ("backend-agent/1", "--failed-with", "no")])
def test_what_is_meant_has_to_be_said_in_one_way(state_dir: Path, arguments: tuple[str, ...]) -> None:
    given_up(state_dir, "no bucket")
    assert interlock("dead", "retry", *arguments, "--as", "dana").exit_code == 2
    assert states(state_dir) == [InboxState.DEAD]


def test_what_failed_alike_is_dropped_together_and_stays_readable(state_dir: Path) -> None:
    given_up(state_dir, "no bucket", "no disk", "no bucket")
    done = interlock("dead", "drop", "--failed-with", "bucket", "--as", "dana", "--reason", "obsolete", "--json")
    assert [outcome["id"] for outcome in json.loads(done.stdout)["outcomes"]] == ["backend-agent/1", "backend-agent/3"]
    assert states(state_dir) == [InboxState.DROPPED, InboxState.DEAD, InboxState.DROPPED]
    assert "it is not handled any more" in interlock("dead", "show", "backend-agent/1").stdout


def test_what_cannot_be_repaired_is_said_and_fails_the_command(state_dir: Path) -> None:
    given_up(state_dir, "no bucket")
    interlock("dead", "drop", "backend-agent/1", "--as", "dana", "--reason", "obsolete")
    done = interlock("dead", "retry", "backend-agent/1", "--as", "dana")
    assert done.exit_code == 1
    assert "not repaired: message number 1 is not among the dead (it is dropped)" in done.stdout


async def test_agents_are_asked_at_one_time_and_what_all_of_them_lack_is_said_once(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    everybody_asked = anyio.Event()

    class Away(LetterBox):
        async def report(self, request: DeadLettersRequest) -> DeadLettersReport:
            asked.append(self.agent)
            if len(asked) == 3:
                everybody_asked.set()
            await everybody_asked.wait()
            return await super().report(request)

    def letter_box(agent: str) -> LetterBox:
        return Away(agent, settings=Settings.load(), clock=SystemClock(), timeout=1.0)

    agents = ("backend-agent", "deploy-agent", "qa-agent")
    for agent in agents:
        store = await open_store(state_dir, agent)
        await bury(store, "no bucket")
        await store.aclose()
    shop = Workshop(letter_box, agents=agents, clock=SystemClock(), output=Output(as_json=True))

    with anyio.fail_after(30.0):
        found = await shop.chosen(Selection())

    assert [item.address.agent for item in found] == list(agents)
    said = capsys.readouterr().err
    assert said.count("are not looked at") == 1
    assert "parked messages of backend-agent, deploy-agent, qa-agent are not looked at" in said.replace("\n", " ")


def test_parked_messages_need_the_broker(state_dir: Path) -> None:
    given_up(state_dir)
    shown = interlock("dead", "show", "backend-agent/parked:0f3ab91c2d4e")
    assert shown.exit_code == 2
    assert "no broker is set" in shown.stderr


async def test_a_running_agent_without_a_broker_is_read_and_not_repaired(state_dir: Path) -> None:
    store = await open_store(state_dir)
    await store.aclose()
    store = await open_store(state_dir)
    box = LetterBox(AGENT, settings=Settings.load(), clock=SystemClock(), timeout=1.0)
    async with box:
        order = Workshop(lambda _: box, agents=(AGENT,), clock=SystemClock(), output=Output(as_json=True)).order(
            RepairAction.RETRY, by="dana", reason=""
        )
        with pytest.raises(UsageError, match="no broker is set"):
            await box.repair(order)
    await store.aclose()


def test_repairs_keep_to_their_rate(state_dir: Path) -> None:
    given_up(state_dir, *["no bucket"] * 4)
    clock = VirtualClock()

    async def repair() -> float:
        def letter_box(agent: str) -> LetterBox:
            return LetterBox(agent, settings=Settings.load(), clock=clock, timeout=1.0)

        shop = Workshop(letter_box, agents=(AGENT,), clock=clock, output=Output(as_json=True))
        found = await shop.chosen(Selection())
        order = shop.order(RepairAction.RETRY, by="dana", reason="")
        async with anyio.create_task_group() as tasks:

            async def work() -> None:
                assert len(await shop.repair(order, found, 0.5)) == 4
                tasks.cancel_scope.cancel()

            tasks.start_soon(work)
            with anyio.fail_after(10):
                while True:
                    await clock.advance(0.5)
        return clock.monotonic()

    took = anyio.run(repair)
    assert took >= 6.0
    assert states(state_dir) == [InboxState.READY] * 4


@pytest.mark.postgres
async def test_a_shared_store_is_repaired_beside_the_agents_that_work_with_it(tmp_path: Path, state_dir: Path) -> None:
    async with PrivatePostgres(tmp_path / "postgres") as server:
        harness = PostgresHarness(server)
        owner = await harness.open(SystemClock())
        await bury(owner, "no bucket")
        settings = {"INTERLOCK_STORE_URL": harness.address}
        listed = await anyio.to_thread.run_sync(lambda: interlock("dead", "list", settings=settings))
        retried = await anyio.to_thread.run_sync(
            lambda: interlock("dead", "retry", f"{SHARED}/1", "--as", "dana", settings=settings)
        )
        (claim,) = await owner.claim(limit=1, lease=30.0)
        await owner.aclose()
    assert listed.stdout.startswith("1 x no bucket\n")
    assert "backend-agent is left out" in listed.stderr
    assert (retried.exit_code, retried.stdout) == (0, f"{SHARED}/1  retried\n")
    assert claim.attempt == 1


def test_an_address_is_read_as_it_is_written() -> None:
    for text in ("backend-agent/12", "backend-agent/parked:0f3ab91c2d4e"):
        assert str(Address.parse(text)) == text
    letter = DeadLetter(name="12", state=DeadLetterState.DEAD, reason="no")
    assert Found("backend-agent", letter).address == Address("backend-agent", "12")


def test_what_a_command_leaves_behind_is_readable_for_its_owner_only(state_dir: Path) -> None:
    given_up(state_dir, "no bucket")
    interlock("dead", "retry", "--all", "--as", "dana")
    assert stat.S_IMODE((state_dir / f"{AGENT}.sqlite").stat().st_mode) == 0o600
