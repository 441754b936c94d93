"""Calls of the client library that a lost connection leaves behind, as an error; it knows no connection."""

from __future__ import annotations

__all__ = ["told_of_losses"]

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import aiormq


@contextmanager
def told_of_losses() -> Generator[None]:
    """Raise AMQPConnectionError where aiormq raises a cancellation that nobody has asked for.

    It waits for answers in tasks of its own, and cancels those when a connection goes down. Whoever awaits them is
    then told of a cancellation, and a task group would take the task for one that was ended on purpose.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise aiormq.exceptions.AMQPConnectionError("the connection was lost before the answer") from error
