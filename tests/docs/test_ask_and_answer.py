"""The how-to on requests: its programs, run together as a reader would run them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import anyio
import anyio.lowlevel
import pytest

from docs.newcomer import ENVIRONMENT
from docs.snippets import ROOT, named_blocks
from interlock.agents.runtime import Runtime
from interlock.bus import SystemClock, connect
from interlock.bus.memory import MemoryBroker
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.transport import AgentQueue, Topology

PAGE = ROOT / "docs" / "how-to" / "ask-and-answer.md"
BLOCKS = named_blocks(PAGE)
PROGRAMS = ("counting", "asking", "watching")
FILES = (*PROGRAMS, "main")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    for name in PROGRAMS:
        (tmp_path / f"{name}.py").write_text(BLOCKS[f"file: {name}.py"])
    monkeypatch.syspath_prepend(tmp_path)
    yield {name: importlib.import_module(name) for name in PROGRAMS}
    for name in PROGRAMS:
        del sys.modules[name]


async def test_the_programs_ask_answer_and_look_on(
    programs: dict[str, ModuleType], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counting, asking, watching = (programs[name] for name in PROGRAMS)
    broker, clock, seen = MemoryBroker(), SystemClock(), []
    broker.declare(Topology((AgentQueue("counter-agent"),)))
    store = await SqliteStore.open(tmp_path / "counter.sqlite", agent="counter-agent", clock=clock)
    runtime = Runtime(counting.counter, transport=broker.connect("counter-agent"), store=store, clock=clock)
    async with (
        connect(broker, identity="reader-agent", catalogue=counting.MESSAGES) as bus,
        connect(broker, identity="onlooker", catalogue=counting.MESSAGES) as onlooker,
        anyio.create_task_group() as tasks,
    ):
        ready = anyio.Event()
        tasks.start_soon(partial(runtime.run, ready=ready))
        await ready.wait()
        with anyio.fail_after(20):
            async with anyio.create_task_group() as looking:

                async def look() -> None:
                    seen.extend(await watching.watch(onlooker, count=1))

                looking.start_soon(look)
                await anyio.lowlevel.checkpoint()
                assert await asking.ask(bus, "three small words") == "3 words"
            assert await asking.ask(bus, "") == "declined: the text is empty"
        runtime.stop()
    await store.aclose()
    assert seen == [3]
    assert "under way: " in capsys.readouterr().out


def test_whoever_copies_the_programs_can_run_them_twice_and_sees_what_the_page_shows(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / f"{name}.py").write_text(BLOCKS[f"file: {name}.py"])
    assert BLOCKS["run: main"] == "python main.py\n"
    for _ in range(2):
        shown = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
        )
        assert (shown.returncode, shown.stderr) == (0, "")
        assert f"```text\n{shown.stdout}```\n" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_no_other_programs() -> None:
    assert set(BLOCKS) == {"run: main", *(f"file: {name}.py" for name in FILES)}
