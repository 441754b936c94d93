"""How an agent ends: stopped in good order, cancelled, or without its transport or store."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio
import pytest

from agents.at_work import AGENT, Answer, Question, eventually, workplace
from agents.scripted import Scripted
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.bus.clock import VirtualClock
from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.memory import MemoryBroker, MemoryTransport
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.store.writer import StoreUnavailableError


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


async def test_stop_lets_running_handlers_finish_and_takes_nothing_new(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place, place.running() as (runtime, _):
        await place.say(Question(text="waits"))
        await eventually(lambda: scripted.running == 1)
        runtime.stop()
        await place.say(Question(text="hello"))
        scripted.go_on.set()
        await place.until(lambda: place.announced[-1:] == ["agent_offline"])
        assert place.answers == [Answer(text="waits")]
        assert place.announced == ["agent_announced", "agent_offline"]


async def test_what_does_not_finish_in_the_drain_time_is_given_back_without_costing_an_attempt(
    scripted: Scripted, tmp_path: Path
) -> None:
    clock = VirtualClock()
    async with workplace(scripted.agent, tmp_path, clock=clock, settings=RuntimeSettings(lease=1e6)) as place:
        async with place.running() as (runtime, _):
            await place.say(Question(text="waits"))
            await eventually(lambda: scripted.running == 1)
            runtime.stop()
            await clock.advance(19.0)
            assert scripted.running == 1
            with anyio.fail_after(5):
                while scripted.running:
                    await clock.advance(1.0)
        store = await place.open_store()
        (claim,) = await store.claim(limit=1, lease=1.0)
        assert claim.attempt == 1
        await store.aclose()


async def test_cancellation_gives_everything_back(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place:
        store = await place.open_store()
        runtime = Runtime(scripted.agent, transport=place.broker.connect(AGENT), store=store, clock=place.clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.run)
            await place.say(Question(text="waits"))
            await eventually(lambda: scripted.running == 1)
            tasks.cancel_scope.cancel()
        assert scripted.running == 0
        (claim,) = await store.claim(limit=1, lease=1.0)
        assert claim.attempt == 1
        await store.aclose()


async def test_an_agent_whose_queue_nobody_declared_does_not_start(scripted: Scripted, tmp_path: Path) -> None:
    async with workplace(scripted.agent, tmp_path) as place:
        store = await place.open_store()
        transport = MemoryBroker().connect(AGENT)
        with pytest.raises(BrokerUnavailableError, match="not declared"):
            await Runtime(scripted.agent, transport=transport, store=store, clock=place.clock).run()
        await store.aclose()


async def test_a_transport_that_is_closed_under_it_ends_the_agent_with_the_reason(
    scripted: Scripted, tmp_path: Path
) -> None:
    async with workplace(scripted.agent, tmp_path) as place:
        store = await place.open_store()
        transport = place.broker.connect(AGENT)
        runtime = Runtime(scripted.agent, transport=transport, store=store, clock=place.clock)
        with pytest.raises(ExceptionGroup) as caught:
            await _run_until_closed(runtime, transport)
        assert caught.value.split(BrokerUnavailableError)[1] is None
        await store.aclose()


async def _run_until_closed(runtime: Runtime, part: MemoryTransport | SqliteStore) -> None:
    """Close a part under a runtime that works, and wait for its end."""
    ready = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(runtime.run, ready=ready))
        with anyio.fail_after(5):
            await ready.wait()
        await part.aclose()


async def test_a_store_that_stays_away_ends_the_agent_with_the_reason_after_its_patience(
    scripted: Scripted, tmp_path: Path
) -> None:
    settings = RuntimeSettings(patience=0.2)
    async with workplace(scripted.agent, tmp_path, settings=settings) as place:
        store = await place.open_store()
        transport = place.broker.connect(AGENT)
        runtime = Runtime(scripted.agent, transport=transport, store=store, clock=place.clock, settings=settings)
        with pytest.raises(ExceptionGroup) as caught:
            await _run_until_closed(runtime, store)
        assert caught.value.split(StoreUnavailableError)[1] is None
