"""What type checkers see of requests; checked with the rest of the tests, and never executed."""

from __future__ import annotations

from typing import assert_type

from bus.playground import Ping, Pong
from interlock.bus import Bus
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskDeclined, TaskFailed


async def answers_have_the_types_that_were_asked_for(bus: Bus) -> None:
    assert_type(await bus.request(Ping(number=1), to="beta-agent"), Message)
    assert_type(await bus.request(Ping(number=1), to="beta-agent", answers=Pong), Pong)
    assert_type(await bus.request(Ping(number=1), to="beta-agent", answers=(Pong, TaskDeclined)), Pong | TaskDeclined)
    assert_type(
        await bus.request(Ping(number=1), to="beta-agent", answers=(Pong, TaskDeclined, TaskFailed)),
        Pong | TaskDeclined | TaskFailed,
    )


async def observers_see_the_class_that_they_chose(bus: Bus) -> None:
    async with bus.observe(Pong) as envelopes:
        assert_type((await anext(envelopes)).payload, Pong)
    async with bus.observe("*.ping", "all.#") as everything:
        assert_type((await anext(everything)).payload, Message)


async def a_union_is_told_apart_by_matching(bus: Bus) -> int | str:
    match await bus.request(Ping(number=1), to="beta-agent", answers=(Pong, TaskDeclined)):
        case Pong(number=number):
            return number
        case TaskDeclined(reason=reason):
            return reason
