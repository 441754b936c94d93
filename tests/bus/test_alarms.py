"""Alarms ring at their moments in their order, however many there are, from one sleeping task."""

from __future__ import annotations

import asyncio
from functools import partial

from interlock.bus.alarms import Alarms
from interlock.bus.clock import VirtualClock


async def test_alarms_ring_in_the_order_of_their_moments_not_of_their_setting() -> None:
    clock, rung = VirtualClock(), list[float]()
    alarms = Alarms(clock)
    for moment in (3.0, 1.0, 2.0, 1.0, 0.5):
        alarms.set(moment, partial(rung.append, moment))

    await clock.advance(0.9)
    assert rung == [0.5]
    await clock.advance(5)
    assert rung == [0.5, 1.0, 1.0, 2.0, 3.0]


async def test_a_moment_that_has_passed_rings_at_once() -> None:
    clock, rung = VirtualClock(), asyncio.Event()
    await clock.advance(10)

    Alarms(clock).set(3.0, rung.set)

    async with asyncio.timeout(5):
        await rung.wait()


async def test_a_cancelled_alarm_does_not_ring_and_another_begins_to_sleep_after_the_last() -> None:
    clock, rung = VirtualClock(), list[str]()
    alarms = Alarms(clock)
    alarms.set(1.0, lambda: rung.append("cancelled")).cancel()
    await clock.advance(2)
    alarms.set(3.0, lambda: rung.append("later"))
    await clock.advance(2)

    assert rung == ["later"]
    assert repr(alarms) == "Alarms(waiting=0)"


async def test_ten_thousand_alarms_need_one_task_and_cancelled_ones_no_memory() -> None:
    clock = VirtualClock()
    alarms, rung = Alarms(clock), list[int]()
    before = len(asyncio.all_tasks())
    for number in range(10_000):
        alarms.set(1.0 + number, partial(rung.append, number)).cancel()
    kept = alarms.set(5.0, lambda: rung.append(-1))
    await clock.advance(0)

    assert len(asyncio.all_tasks()) == before + 1
    assert alarms.entries < 200
    await clock.advance(6)
    assert rung == [-1]
    kept.cancel()
    assert repr(alarms) == "Alarms(waiting=0)"


async def test_nothing_rings_after_a_stop_and_cancelling_is_still_allowed() -> None:
    clock, rung = VirtualClock(), list[int]()
    alarms = Alarms(clock)
    alarm = alarms.set(1.0, lambda: rung.append(1))
    alarms.stop()
    alarms.stop()
    alarm.cancel()
    await clock.advance(2)
    assert rung == []

    alarms.set(3.0, lambda: rung.append(2))
    await clock.advance(2)
    assert rung == [2]
