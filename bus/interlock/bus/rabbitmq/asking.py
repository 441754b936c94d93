"""One channel for one piece of administration, and its refusals as errors of ours; it knows no topology."""

from __future__ import annotations

__all__ = ["asking"]

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import aiormq
import anyio

from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.connection import Connection, underlay
from interlock.bus.rabbitmq.inequivalence import inequivalence
from interlock.bus.rabbitmq.loss import told_of_losses
from interlock.protocol.errors import UsageError

_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 5.0


@asynccontextmanager
async def asking(connection: Connection, *, what: str, confirms: bool = False) -> AsyncGenerator[aiormq.Channel]:
    """Open a channel; `what` completes "the connection was lost while …".

    Raises NotPermittedError without the right, UsageError for what exists otherwise or not at all,
    BrokerUnavailableError when the connection is lost.
    """
    channel = await connection.channel(timeout=_TIMEOUT, confirms=confirms)
    try:
        with told_of_losses():
            yield await underlay(channel)
    except aiormq.exceptions.ChannelAccessRefused as error:
        raise NotPermittedError(f"the broker refuses, {what}: {error}; log in as the topology's own user") from error
    except aiormq.exceptions.ChannelPreconditionFailed as error:
        raise UsageError(str(inequivalence(str(error)) or f"the broker refuses, {what}: {error}")) from error
    except aiormq.exceptions.ChannelNotFoundEntity as error:
        raise UsageError(f"the broker does not hold it, {what}: {error}; look at it again and repeat") from error
    except (aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, OSError) as error:
        raise BrokerUnavailableError(f"the connection was lost, {what} ({type(error).__name__})") from error
    finally:
        with (
            anyio.move_on_after(_CLOSE_TIMEOUT, shield=True),
            suppress(aiormq.exceptions.AMQPError, OSError),
            told_of_losses(),
        ):
            await channel.close()
