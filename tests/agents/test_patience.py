"""A store that is away for a while costs nothing but time; one that stays away is an error."""

from __future__ import annotations

import anyio
import pytest

from interlock.agents.patience import Patience
from interlock.bus.clock import VirtualClock
from interlock.bus.errors import LeaseLostError
from interlock.bus.relay import Backoff
from interlock.bus.store.writer import StoreUnavailableError


class Away:
    """A store's method that fails for its first calls."""

    def __init__(self, failures: float, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or StoreUnavailableError("database is locked")
        self.calls = 0

    async def __call__(self, number: int, *, factor: int) -> int:
        await anyio.lowlevel.checkpoint()
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return number * factor


def patience(clock: VirtualClock) -> Patience:
    return Patience(clock, longest=60.0, backoff=Backoff(first=1.0, longest=10.0, chance=lambda: 0.0))


async def test_an_operation_is_repeated_until_the_store_is_back() -> None:
    clock, operation = VirtualClock(), Away(3)
    results: list[int] = []

    async def insist() -> None:
        results.append(await patience(clock).insist(operation, 6, factor=7))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(insist)
        await clock.advance(6.9)
        assert (operation.calls, results) == (3, [])
        await clock.advance(0.1)
        assert (operation.calls, results) == (4, [42])


async def test_patience_has_an_end() -> None:
    clock, operation = VirtualClock(), Away(float("inf"))
    ended: list[float] = []

    async def insist() -> None:
        with pytest.raises(StoreUnavailableError):
            await patience(clock).insist(operation, 6, factor=7)
        ended.append(clock.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(insist)
        await clock.advance(100.0)
    assert ended == [55.0]


async def test_other_errors_are_not_waited_out() -> None:
    operation = Away(1, LeaseLostError("someone else has it"))
    with pytest.raises(LeaseLostError):
        await patience(VirtualClock()).insist(operation, 6, factor=7)
    assert operation.calls == 1
