"""The sandbox's process lives as long as its context, also when the start is given up."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from interlock.agents.demo.world import World
from interlock.protocol.errors import TransientError


def children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended meanwhile
            found.update(map(int, (task / "children").read_text().split()))
    return found


async def test_a_start_that_is_cancelled_leaves_no_process_behind(tmp_path: Path) -> None:
    before = children()
    async with anyio.create_task_group() as tasks:

        async def enter() -> None:
            async with World(tmp_path, tickets=()) as world:
                await world.ready()
                raise AssertionError("it was cancelled before")

        tasks.start_soon(enter)
        with anyio.fail_after(10.0):
            while not (tmp_path / "sandbox").exists():  # made by the process itself
                await anyio.lowlevel.checkpoint()
        assert children() - before
        tasks.cancel_scope.cancel()

    assert not children() - before


async def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    ticket = tmp_path / "ticket.json"
    ticket.write_text("{}")

    async with World(tmp_path / "world", tickets=(ticket,)) as world:
        with anyio.fail_after(60.0), pytest.raises(TransientError, match=r"(?s)ended before it was ready.*ticket"):
            await world.ready()


async def test_who_is_dismissed_ends_without_being_waited_for(tmp_path: Path) -> None:
    before = children()
    async with World(tmp_path, tickets=()) as world:
        with anyio.fail_after(60.0):
            assert (await world.ready())["jira"]["url"].startswith("http://127.0.0.1:")
            world.dismiss()
            while children() - before:
                await anyio.lowlevel.checkpoint()
