"""Checks that fail to look, or never end, are told as what could not be seen; and the command as people run it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from agents.cli.running import interlock, run_process
from interlock.agents.doctor import Finding, Verdict, Ward, examine
from interlock.agents.settings import Settings
from interlock.bus.clock import SystemClock
from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.private_process import free_port
from interlock.protocol.catalogue import CATALOGUE


class Endless:
    area = "endless"

    async def look(self, ward: Ward) -> Sequence[Finding]:  # noqa: ARG002 - the protocol's signature
        await anyio.sleep_forever()
        raise AssertionError


class Blocked:
    area = "blocked"

    async def look(self, ward: Ward) -> Sequence[Finding]:  # noqa: ARG002 - the protocol's signature
        raise BrokerUnavailableError("nobody answers")


class Well:
    area = "well"

    async def look(self, ward: Ward) -> Sequence[Finding]:  # noqa: ARG002 - the protocol's signature
        return [Finding.ok("it", "is well")]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


async def test_a_check_that_cannot_look_or_does_not_end_is_unknown_and_holds_nobody_up() -> None:
    ward = Ward(Settings.load(), catalogue=CATALOGUE, clock=SystemClock(), listening=0)
    with anyio.fail_after(10):
        found = await examine(ward, checks=[Endless(), Blocked(), Well()], patience=0.2)

    assert [(e.area, *(f.verdict for f in e.findings)) for e in found] == [
        ("endless", Verdict.UNKNOWN),
        ("blocked", Verdict.UNKNOWN),
        ("well", Verdict.OK),
    ]
    assert found[1].findings[0].evidence == "it could not be made: nobody answers"
    assert not any(examination.has_failed for examination in found)


async def test_without_a_broker_every_other_check_says_why_it_knows_nothing(tmp_path: Path) -> None:
    finished = await run_process("doctor", "--json", cwd=tmp_path)

    assert finished.returncode == 1
    areas = json.loads(finished.stdout)["areas"]
    assert [finding["verdict"] for finding in areas["broker"]] == ["failed"]
    others = {finding["verdict"] for area in set(areas) - {"settings", "broker"} for finding in areas[area]}
    assert others == {"unknown"}
    assert b"start one with `interlock broker up`" in finished.stderr


async def test_a_broker_that_is_down_is_told_in_time(tmp_path: Path) -> None:
    url = f"amqp://qa-agent:secret@127.0.0.1:{free_port()}/interlock"
    finished = await run_process("doctor", settings={"INTERLOCK_BROKER_URL": url}, cwd=tmp_path)

    assert finished.returncode == 1
    assert b"is the broker running?" in finished.stdout
    assert b"secret" not in finished.stdout + finished.stderr


def test_settings_that_cannot_be_read_are_a_finding() -> None:
    Path("interlock.toml").write_text('brocker_url = "amqp://host"\n')

    told = interlock("doctor")

    assert told.exit_code == 1
    assert "brocker_url: there is no such setting" in told.stdout
