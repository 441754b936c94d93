"""Takes agents' queues away again, with everything in them; for tests, which leave a broker as they found it."""

from __future__ import annotations

__all__ = ["remove_queues"]

from collections.abc import Iterable

import aio_pika
import aiormq

from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.topology import parking_queue

_TIMEOUT = 30.0


async def remove_queues(url: str, agents: Iterable[str]) -> None:
    """Delete the queue and the parking queue of each agent, and every message in them; missing ones are passed over.

    `url` is of a user with configure rights. Raises BrokerUnavailableError, NotPermittedError.
    """
    try:
        async with (
            await aio_pika.connect(url, timeout=_TIMEOUT) as connection,
            connection.channel() as channel,
        ):
            for agent in agents:
                await channel.queue_delete(agent)
                await channel.queue_delete(parking_queue(agent))
    except aiormq.exceptions.ChannelAccessRefused as error:
        raise NotPermittedError(f"this user may not delete queues: {error}; use the topology's own user") from error
    except (aiormq.exceptions.AMQPError, OSError) as error:
        raise BrokerUnavailableError(f"the queues were not removed ({type(error).__name__}); try again") from error
