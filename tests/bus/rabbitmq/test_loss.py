"""Cancellations that a lost connection leaves behind, told apart from those that somebody has asked for."""

from __future__ import annotations

import asyncio

import aiormq
import anyio
import pytest

from interlock.bus.rabbitmq.loss import told_of_losses


async def test_an_answer_that_will_never_come_is_a_lost_connection() -> None:
    answer = asyncio.create_task(anyio.sleep_forever())
    asyncio.get_running_loop().call_soon(answer.cancel)
    with pytest.raises(aiormq.exceptions.AMQPConnectionError, match="lost"), told_of_losses():
        await answer


async def test_what_a_scope_has_cancelled_ends_as_cancelled() -> None:
    with anyio.move_on_after(0) as scope, told_of_losses():
        await anyio.sleep_forever()
    assert scope.cancelled_caught


async def test_what_asyncio_was_asked_to_cancel_ends_as_cancelled() -> None:
    async def wait() -> None:
        with told_of_losses():
            await anyio.sleep_forever()

    waiting = asyncio.create_task(wait())
    await anyio.lowlevel.checkpoint()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
