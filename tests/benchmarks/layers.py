"""What each layer above the broker's client costs: microseconds of CPU per message, the fastest of many turns."""

from __future__ import annotations

__all__ = ["ACCEPT", "DUMP", "ENCODE", "PUBLISH", "VALIDATE", "layers", "measure"]

import timeit
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.contenders.common import BODY, EVENT, MESSAGE, RECEIVER, Event
from interlock.bus.acceptance import accept
from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.transport import Arrival, Outgoing, Transport, routing_key
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import CONTENT_TYPE, decode, encode
from interlock.protocol.strict_json import parse_object

_SENDER = "devops-agent"
_TIMES = 200


class _Nowhere:
    """A transport that takes everything and does nothing."""

    identity = _SENDER

    async def publish(self, outgoing: Outgoing, *, timeout: float) -> None:
        """Return at once."""


DUMP = "out: pydantic's model_dump_json"
ENCODE = "out: encode an envelope"
PUBLISH = "out: Bus.publish, without a client"
VALIDATE = "in: pydantic's model_validate_json"
ACCEPT = "in: accept a delivery"


def layers() -> dict[str, Callable[[], object]]:
    """Return what each layer does for one message; what is below contains what is above it, per direction."""
    bus = Bus(cast("Transport", _Nowhere()), clock=SystemClock())
    arrival = cast(
        "Arrival",
        SimpleNamespace(
            body=BODY,
            routing_key=routing_key(RECEIVER, EVENT.type),
            sender=_SENDER,
            content_type=CONTENT_TYPE,
            reply_to=None,
        ),
    )

    def publish() -> None:
        _run(bus.publish(MESSAGE, to=RECEIVER))

    return {
        DUMP: lambda: EVENT.model_dump_json(by_alias=True, exclude_none=True),
        ENCODE: lambda: encode(EVENT),
        PUBLISH: publish,
        "in: read JSON within the limits": lambda: parse_object(BODY),
        VALIDATE: lambda: Event.model_validate_json(BODY),
        "in: decode an envelope": lambda: decode(BODY, catalogue=CATALOGUE),
        ACCEPT: lambda: accept(arrival, catalogue=CATALOGUE),
    }


def measure(rounds: int) -> dict[str, float]:
    """Return microseconds by layer."""
    return {
        name: min(timeit.repeat(layer, number=_TIMES, repeat=20 * rounds)) / _TIMES * 1e6
        for name, layer in layers().items()
    }


def _run(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run what never waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("it waited")
