"""Reads of one account that need not wait for each other; it knows no service, and nothing that changes something."""

from __future__ import annotations

__all__ = ["together"]

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from interlock.protocol.errors import InterlockError

_T = TypeVar("_T")

_AT_ONCE = 4
"""Requests that are under way at one time: AWS throttles an account's describe calls."""


async def together(readings: Sequence[Callable[[], Awaitable[_T]]]) -> list[_T]:
    """Return what each reading answers, in the order of the readings.

    When several fail, the first of them in that order is raised, once all have ended: as if they had been made one
    after another. Cancelling it cancels them all.
    """
    answers: dict[int, _T] = {}
    errors: dict[int, InterlockError] = {}
    turn = anyio.Semaphore(_AT_ONCE)

    async def read(number: int, reading: Callable[[], Awaitable[_T]]) -> None:
        async with turn:
            try:
                answers[number] = await reading()
            except InterlockError as error:
                errors[number] = error

    async with anyio.create_task_group() as tasks:
        for number, reading in enumerate(readings):
            tasks.start_soon(read, number, reading)
    if errors:
        raise errors[min(errors)]
    return [answers[number] for number in range(len(readings))]
