"""The sandbox's process lives as long as its context, also when the start is given up."""

from __future__ import annotations

from pathlib import Path

import anyio

from interlock.agents.demo.world import World


def children() -> set[int]:
    tasks = Path("/proc/self/task").iterdir()
    return {int(child) for task in tasks for child in (task / "children").read_text().split()}


async def test_a_start_that_is_cancelled_leaves_no_process_behind(tmp_path: Path) -> None:
    before = children()
    async with anyio.create_task_group() as tasks:

        async def enter() -> None:
            async with World(tmp_path, tickets=()):
                raise AssertionError("it was cancelled before")

        tasks.start_soon(enter)
        with anyio.fail_after(10.0):
            while not (tmp_path / "sandbox").exists():  # made by the process itself
                await anyio.lowlevel.checkpoint()
        assert children() - before
        tasks.cancel_scope.cancel()

    assert not children() - before
