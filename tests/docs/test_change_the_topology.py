"""docs/how-to/change-the-topology.md, followed literally on the broker that it starts."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import anyio
import pytest

from agents.cli.running import COMMAND, environment, run_process
from docs.snippets import ROOT, named_blocks

BLOCKS = named_blocks(ROOT / "docs" / "how-to" / "change-the-topology.md")


async def follow(name: str, folder: Path) -> list[subprocess.CompletedProcess[bytes]]:
    return [await run_process(*line.split()[1:], cwd=folder) for line in BLOCKS[f"run: {name}"].splitlines()]


@pytest.mark.rabbitmq
async def test_a_limit_is_changed_as_the_guide_says(tmp_path: Path) -> None:
    file = tmp_path / "interlock.toml"
    command = [*COMMAND, *BLOCKS["run: broker"].split()[1:]]
    async with await anyio.open_process(command, cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL) as broker:
        with anyio.fail_after(60):
            while not file.exists():  # noqa: ASYNC110 - the command tells nobody but by its file
                await anyio.sleep(0.05)
        try:
            (same,) = await follow("plan", tmp_path)
            file.write_text(file.read_text() + BLOCKS["file: limits.toml"])
            (different,) = await follow("plan", tmp_path)
            (refused,) = await follow("apply", tmp_path)
            (migrated,) = await follow("migrate", tmp_path)
            (again,) = await follow("plan", tmp_path)
            pruned = await follow("prune", tmp_path)
        finally:
            broker.send_signal(signal.SIGINT)
            await broker.wait()

    assert same.stdout == again.stdout == b"the broker is as it should be\n"
    assert b"x-max-length: has 1000000, wants 5000" in different.stdout
    assert (refused.returncode, migrated.returncode) == (1, 0)
    assert b"~ queue qa-agent was replaced" in migrated.stdout
    assert [step.returncode for step in pruned] == [0, 0]
