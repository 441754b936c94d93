"""Virtual time moves when it is told to, and in order; real time moves by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.bus.clock import Clock, SystemClock, VirtualClock


async def wakings(delays: list[float], *, advance: float) -> list[float]:
    """Sleep for each delay at once, and return when the sleepers woke by the clock, in the order of waking."""
    clock = VirtualClock()
    woken: list[float] = []

    async def sleeper(delay: float) -> None:
        await clock.sleep(delay)
        woken.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        for delay in delays:
            group.start_soon(sleeper, delay)
        await clock.advance(advance)
        group.cancel_scope.cancel()
    return woken


@given(st.lists(st.integers(1, 100), max_size=8))
def test_sleepers_wake_in_the_order_of_their_moments_and_at_them(delays: list[int]) -> None:
    assert anyio.run(lambda: wakings([float(delay) for delay in delays], advance=100.0)) == sorted(delays)


async def test_who_is_not_due_sleeps_on() -> None:
    assert await wakings([1.0, 2.0, 3.0], advance=2.0) == [1.0, 2.0]


async def test_a_sleeper_that_sleeps_again_is_woken_within_the_same_advance() -> None:
    clock = VirtualClock()
    ticks: list[float] = []

    async def ticker() -> None:
        while True:
            await clock.sleep(10.0)
            ticks.append(clock.monotonic())

    async with anyio.create_task_group() as group:
        group.start_soon(ticker)
        await clock.advance(35.0)
        group.cancel_scope.cancel()
    assert ticks == [10.0, 20.0, 30.0]


async def test_virtual_time_stands_still_until_it_is_advanced() -> None:
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    before = clock.now()
    await clock.sleep(0.0)
    await clock.sleep(-1.0)
    assert clock.now() == before
    await clock.advance(3600.0)
    assert clock.now() - before == timedelta(hours=1)
    assert repr(clock) == "VirtualClock(now=2026-03-01T01:00:00+00:00, sleepers=0)"


async def test_the_systems_clock_is_in_utc_and_moves_on() -> None:
    clock: Clock = SystemClock()
    now, start = clock.now(), clock.monotonic()
    await clock.sleep(0.001)
    await clock.sleep(-1.0)
    assert clock.monotonic() - start >= 0.001
    assert now.utcoffset() == timedelta(0)
    assert clock.now() > now


@pytest.mark.parametrize("clock", [SystemClock(), VirtualClock()])
async def test_even_no_sleep_lets_others_run(clock: Clock) -> None:
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    async with anyio.create_task_group() as group:
        group.start_soon(other)
        await clock.sleep(0.0)
        turns.append("sleeper")
    assert turns == ["other", "sleeper"]
