"""Readings are made at one time, and answer as if they had been made one after another."""

from __future__ import annotations

import anyio
import pytest

from interlock.agents.systems.aws.reading import together
from interlock.protocol.errors import PermanentError, TransientError


async def test_they_do_not_wait_for_each_other_and_answer_in_order() -> None:
    second_began = anyio.Event()

    async def first() -> str:
        await second_began.wait()
        return "first"

    async def second() -> str:
        second_began.set()
        return "second"

    with anyio.fail_after(10.0):
        assert await together([first, second]) == ["first", "second"]


async def test_the_first_error_in_order_is_raised_by_itself_once_all_have_ended() -> None:
    later_failed, ended = anyio.Event(), anyio.Event()

    async def earlier() -> str:
        await later_failed.wait()
        raise PermanentError("the earlier one")

    async def later() -> str:
        later_failed.set()
        raise TransientError("the later one")

    async def last() -> str:
        await later_failed.wait()
        ended.set()
        return "last"

    with anyio.fail_after(10.0), pytest.raises(PermanentError, match="the earlier one"):
        await together([earlier, later, last])
    assert ended.is_set()


async def test_at_most_four_are_under_way() -> None:
    under_way: list[int] = []
    running = 0

    async def reading() -> None:
        nonlocal running
        running += 1
        await anyio.lowlevel.checkpoint()
        under_way.append(running)
        running -= 1

    await together([reading] * 20)

    assert len(under_way) == 20
    assert max(under_way) == 4
