"""`interlock workflows` and `approvals list`, read from a store whose coordinator is at work."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.cli.coordinating import ISSUE, TOPOLOGY, Coordinating, coordinating
from agents.cli.running import interlock
from interlock.bus.clock import VirtualClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import Transport
from interlock.protocol.ids import conversation_of


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("INTERLOCK_CONFIG", raising=False)
    return tmp_path


@asynccontextmanager
async def at_work(state_dir: Path) -> AsyncGenerator[Coordinating]:
    broker = MemoryBroker()
    broker.declare(TOPOLOGY)

    async def connect(identity: str) -> Transport:
        return broker.connect(identity)

    async with coordinating(connect, state_dir=state_dir, clock=VirtualClock()) as coordinator:
        yield coordinator


async def test_every_change_is_listed_with_who_has_to_act(state_dir: Path) -> None:
    async with at_work(state_dir) as coordinator:
        assert interlock("workflows", "list").stdout == "no changes yet\n"
        await coordinator.ask_for_budget("PROJ-140")
        await coordinator.ask_for_budget("PROJ-141")
        await coordinator.cancel("PROJ-141")
        shown = interlock("workflows", "list")
        document = json.loads(interlock("workflows", "list", "--json").stdout)
    assert shown.exit_code == 0
    rows = {line.split()[0]: line for line in shown.stdout.splitlines()[1:]}
    assert "over_budget  an approver" in rows["PROJ-140"]
    assert "declined     -" in rows["PROJ-141"]
    by_issue = {row["issue"]: row for row in document["workflows"]}
    assert by_issue["PROJ-140"]["waitsFor"] == "an approver"
    assert by_issue["PROJ-140"]["ended"] is False
    assert by_issue["PROJ-141"]["outcome"] == "declined"
    assert by_issue["PROJ-141"]["waitsFor"] is None


@pytest.mark.parametrize("by", ["issue", "conversation"])
async def test_a_change_is_shown_with_approvals_and_history(state_dir: Path, by: str) -> None:
    async with at_work(state_dir) as coordinator:
        asked = await coordinator.ask_for_budget()
        key = ISSUE if by == "issue" else conversation_of(ISSUE)
        shown = interlock("workflows", "show", key)
        document = json.loads(interlock("workflows", "show", key, "--json").stdout)
    assert shown.exit_code == 0
    assert shown.stdout.startswith("PROJ-140 is over_budget, waits for an approver, until ")
    assert asked.approval_id in shown.stdout
    assert "by=release-lead, issue=PROJ-140" in shown.stdout
    assert document["state"] == "over_budget"
    assert document["deadline"] is not None
    assert [approval["state"] for approval in document["approvals"]] == ["open"]
    assert [event["action"] for event in document["history"]][:3] == ["requested", "entered", "entered"]
    assert document["history"][0]["details"] == {"issue": "PROJ-140", "by": "release-lead"}


async def test_a_store_can_be_read_after_its_owner_is_gone(state_dir: Path) -> None:
    async with at_work(state_dir) as coordinator:
        await coordinator.ask_for_budget()
    assert interlock("workflows", "show", ISSUE).exit_code == 0


async def test_the_diagram_marks_the_present_state(state_dir: Path) -> None:
    async with at_work(state_dir) as coordinator:
        await coordinator.ask_for_budget()
        shown = interlock("workflows", "show", ISSUE, "--diagram")
        document = json.loads(interlock("workflows", "show", ISSUE, "--diagram", "--json").stdout)
    assert shown.stdout.startswith("stateDiagram-v2\n")
    assert shown.stdout.endswith("    class over_budget current\n")
    assert document["diagram"] == shown.stdout.removesuffix("\n")


async def test_the_way_through_the_states_is_told_and_drawn(state_dir: Path) -> None:
    async with at_work(state_dir) as coordinator:
        await coordinator.ask_for_budget()
        shown = interlock("workflows", "show", ISSUE).stdout
        drawn = interlock("workflows", "show", ISSUE, "--picture", state_dir / "way.svg", "--json")
        painted = interlock("workflows", "show", ISSUE, "--picture", state_dir / "way.png")
        refused = interlock("workflows", "show", ISSUE, "--picture", state_dir / "way.gif")
    lines = shown.splitlines()
    path = lines[lines.index("path") + 1 :]
    assert [line.split()[2] for line in path[1:4]] == ["received", "analysing", "over_budget"]
    assert path[3].endswith("cost_estimate_ready from devops-agent")
    assert [visit["state"] for visit in json.loads(drawn.stdout)["path"]] == ["received", "analysing", "over_budget"]
    assert (state_dir / "way.svg").read_text().startswith("<svg ")
    assert "over budget" in (state_dir / "way.svg").read_text()
    assert painted.exit_code == 0
    assert (state_dir / "way.png").read_bytes().startswith(b"\x89PNG")
    assert (refused.exit_code, "ends in .svg or .png" in refused.stderr) == (2, True)


async def test_what_waits_for_a_decision_is_listed_until_it_is_void(state_dir: Path) -> None:
    async with at_work(state_dir) as coordinator:
        asked = await coordinator.ask_for_budget()
        shown = interlock("approvals", "list")
        document = json.loads(interlock("approvals", "list", "--json").stdout)
        await coordinator.cancel()
        assert interlock("approvals", "list").stdout == "nothing waits for a decision\n"
        everything = json.loads(interlock("approvals", "list", "--all", "--json").stdout)
    assert shown.stdout.startswith(f"{asked.approval_id}  budget for production: open\n")
    assert asked.digest in shown.stdout
    assert "    PROJ-140 costs 145 USD a month, 100 USD are budgeted\n" in shown.stdout
    assert document["approvals"][0]["digest"] == asked.digest
    assert [row["state"] for row in everything["approvals"]] == ["void"]


@pytest.mark.parametrize(
    "arguments", [["workflows", "show", "PROJ-999"], ["approvals", "grant", "unknown", "--as", "alice"]]
)
async def test_what_is_not_there_is_a_usage_error(state_dir: Path, arguments: list[str]) -> None:
    async with at_work(state_dir):
        result = interlock(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "list" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["workflows", "list"], ["workflows", "show", "PROJ-1"], ["approvals", "list"]],
)
def test_without_a_store_the_error_names_the_file(state_dir: Path, arguments: list[str]) -> None:
    result = interlock(*arguments, "--json")
    assert result.exit_code == 2
    assert "coordinator.sqlite" in json.loads(result.stdout)["error"]["message"]


@pytest.mark.parametrize(("option", "person"), [("--as", ""), ("--as", "al\x1bice"), ("--as", "x" * 501)])
async def test_a_person_that_is_no_name_is_a_usage_error(state_dir: Path, option: str, person: str) -> None:
    async with at_work(state_dir) as coordinator:
        asked = await coordinator.ask_for_budget()
        result = interlock("approvals", "grant", asked.approval_id, option, person)
    assert result.exit_code == 2
    assert result.stderr.startswith("UsageError: --as: ")
