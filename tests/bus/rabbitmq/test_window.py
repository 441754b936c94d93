"""The window of a publisher: who gets in when, and who is told that nothing moves."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from interlock.bus.clock import SystemClock
from interlock.bus.rabbitmq.window import Window

PATIENCE = 1.0


async def test_places_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    window, entered = Window(2, clock=SystemClock()), list[int]()

    async def enter(number: int) -> None:
        assert await window.enter(patience=60.0)
        entered.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(enter, number)
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        assert entered == [0, 1]
        for left in range(3, 7):
            window.leave()
            await anyio.wait_all_tasks_blocked()
            assert entered == list(range(left))


async def test_a_queue_that_moves_is_waited_for_longer_than_anybodys_patience() -> None:
    clock = SystemClock()
    window = Window(1, clock=clock)
    began = clock.monotonic()

    async def pass_through() -> None:
        assert await window.enter(patience=PATIENCE)
        await anyio.sleep(PATIENCE / 5)
        window.leave()

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(pass_through)
    assert clock.monotonic() - began > 1.5 * PATIENCE


@pytest.mark.parametrize("leaves_in_vain", [False, True])
async def test_a_queue_that_does_not_move_is_left(leaves_in_vain: bool) -> None:
    window = Window(2, clock=SystemClock())
    assert await window.enter(patience=0.1)
    assert await window.enter(patience=0.1)
    results = list[bool]()

    async def enter() -> None:
        results.append(await window.enter(patience=0.2))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(enter)
        await anyio.wait_all_tasks_blocked()
        if leaves_in_vain:
            window.leave(moves=False)  # the first gets the place, the second is none the wiser
    assert results == ([True, False] if leaves_in_vain else [False, False])
    # Whoever has given up stands in nobody's way.
    window.leave()
    assert await window.enter(patience=0.0)


async def test_a_place_given_to_somebody_who_is_cancelled_is_given_on() -> None:
    window, entered = Window(1, clock=SystemClock()), list[str]()
    assert await window.enter(patience=0.1)

    async def enter(name: str, scope: anyio.CancelScope) -> None:
        with scope:
            assert await window.enter(patience=60.0)
            entered.append(name)

    async with anyio.create_task_group() as tasks:
        first = anyio.CancelScope()
        tasks.start_soon(enter, "first", first)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(enter, "second", anyio.CancelScope())
        await anyio.wait_all_tasks_blocked()
        first.cancel()
        window.leave()  # before the first has noticed
        await anyio.wait_all_tasks_blocked()
    assert entered == ["second"]
