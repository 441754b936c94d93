"""Makes recordings: of a journal, of stores, or of a bus as it goes on; it knows bytes and envelopes, not files."""

from __future__ import annotations

__all__ = ["Recorder", "recorded"]

from collections.abc import Iterable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from interlock.bus.transport import Delivery, Transport
from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError
from interlock.protocol.message import Message
from interlock.protocol.recording import chronological
from interlock.protocol.selection import Selection


def recorded(
    bodies: Iterable[bytes], *, selection: Selection | None = None, catalogue: Catalogue = CATALOGUE
) -> tuple[Envelope[Message], ...]:
    """Return the selected messages among encoded ones, each once, in the order of sending and of cause and effect.

    Bytes that are no message of the catalogue are passed over: their receiver has parked them, with the reason.
    """
    wanted = selection or Selection()
    found: list[Envelope[Message]] = []
    for body in bodies:
        try:
            envelope = decode(body, catalogue=catalogue, upcast=False)
        except InvalidMessageError:
            continue
        if wanted.admits(envelope):
            found.append(envelope)
    return chronological(found)


class Recorder:
    """Keeps every message that travels over a broker while its context is open, in memory.

    ```python
    async with Recorder(broker.connect("recorder")) as recorder:
        ...
    path.write_bytes(write(recorder.envelopes()))
    ```
    """

    def __init__(self, transport: Transport, *, pattern: str = "#") -> None:
        """`pattern` is of routing keys, `<to>.<type>`. The transport stays the caller's to close."""
        self._transport = transport
        self._pattern = pattern
        self._bodies: list[bytes] = []
        self._changed = anyio.Event()
        self._tasks: TaskGroup | None = None

    def __repr__(self) -> str:
        return f"Recorder({self._pattern!r}, messages={len(self._bodies)})"

    async def __aenter__(self) -> Self:
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        await tasks.start(self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None, "it was entered"
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(kind, error, trace)

    def envelopes(
        self, selection: Selection | None = None, *, catalogue: Catalogue = CATALOGUE
    ) -> tuple[Envelope[Message], ...]:
        """Return what was said so far; see `recorded`."""
        return recorded(self._bodies, selection=selection, catalogue=catalogue)

    async def heard(self, count: int) -> None:
        """Return once at least so many messages have been kept."""
        while len(self._bodies) < count:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def _listen(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with self._transport.observe(self._pattern) as copies:
            task_status.started()
            async for copy in copies:
                self._keep(copy)

    def _keep(self, copy: Delivery) -> None:
        self._bodies.append(copy.body)
        self._changed.set()
