"""The emulators' journal holds what they were made to do, in order, and survives being cut off."""

from __future__ import annotations

import threading
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer

from interlock.agents.sandbox.chat import chat_application
from interlock.agents.sandbox.journal import Journal
from interlock.bus.clock import VirtualClock


def test_every_line_is_on_disk_when_the_listener_returns(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", clock=VirtualClock()) as journal:
        journal.of("jira")("transition", "PROJ-140", "완료")

        (entry,) = Journal.read(tmp_path / "journal.jsonl")

    assert (entry.system, entry.action, entry.subject, entry.detail) == ("jira", "transition", "PROJ-140", "완료")


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    with Journal(file, clock=VirtualClock()) as journal:
        journal.of("aws")("CreateDBInstance", "one", "postgres")
        journal.of("aws")("CreateDBInstance", "two", "postgres")
    file.write_bytes(file.read_bytes()[:-1])

    assert [entry.subject for entry in Journal.read(file)] == ["one"]


def test_lines_from_several_threads_do_not_mix(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", clock=VirtualClock()) as journal:
        listen = journal.of("aws")
        threads = [threading.Thread(target=listen, args=("CreateDBInstance", str(n), "x" * 5000)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(int(entry.subject) for entry in Journal.read(tmp_path / "journal.jsonl")) == list(range(20))


async def test_chat_tells_what_it_took_and_nothing_that_it_refused(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.jsonl", clock=VirtualClock()) as journal:
        async with TestClient(TestServer(chat_application(journal=journal.of("chat")))) as chat:
            await chat.post("/slack/deployments", json={"text": "accepted"})
            await chat.post("/slack/deployments", json={"text": ""})

    (entry,) = Journal.read(tmp_path / "journal.jsonl")
    assert (entry.action, entry.subject, entry.detail) == ("slack", "deployments", '{"text": "accepted"}')
