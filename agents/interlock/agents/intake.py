"""Takes deliveries into the inbox, or has them refused; the bus's border control. It never runs a handler."""

from __future__ import annotations

__all__ = ["Intake"]

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import anyio

from interlock.agents.admitted import AdmittedEnvelopes
from interlock.agents.agent import Agent
from interlock.agents.patience import Patience
from interlock.agents.refusal import Refusal
from interlock.agents.telemetry.beginnings import Beginnings
from interlock.bus.acceptance import accept
from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.store.port import Store
from interlock.bus.store.records import InboxMessage, Receipt
from interlock.bus.subject import about
from interlock.bus.telemetry import OFF, Operation, Telemetry
from interlock.bus.transport import Arrival, Delivery
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, RejectionCode
from interlock.protocol.message import ALL, Message


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A delivery that may be taken in."""

    delivery: Delivery
    envelope: Envelope[Message]
    message: InboxMessage
    receiving: Operation


class Intake:
    """Reads deliveries in order and acknowledges what is safely stored; what arrives together is stored together.

    What arrives while the store writes, or while it is away, waits here unacknowledged for its turn: nothing overtakes
    what the store could not take, and none costs an attempt. How many wait at most is the transport's prefetch.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        store: Store,
        clock: Clock,
        patience: Patience,
        telemetry: Telemetry = OFF,
        admitted: AdmittedEnvelopes | None = None,
        batch: int = 64,
    ) -> None:
        """What it takes in, up to `batch` messages at once, is left in `admitted` for the one who works on it."""
        self._agent = agent
        self._clock = clock
        self._telemetry = telemetry
        self._beginnings = Beginnings(store, patience=patience, telemetry=telemetry)
        self._refusal = Refusal(agent.name, store=store, clock=clock, patience=patience)
        self._kept = AdmittedEnvelopes() if admitted is None else admitted
        self._batch = batch
        self._arrived: list[_Arrived] = []
        self._is_open = False
        self._is_settling = False
        self._reading = anyio.CancelScope()

    def __repr__(self) -> str:
        return f"Intake({self._agent.name!r})"

    def stop(self) -> None:
        """Read no further; `run` returns when everything that was read is settled."""
        self._reading.cancel()

    async def run(
        self,
        deliveries: AsyncIterator[Delivery],
        *,
        take_in: Callable[[Sequence[InboxMessage]], Awaitable[Sequence[Receipt]]],
        stored: Callable[[str], None],
        told: Callable[[], None],
    ) -> None:
        """Take in until `stop`.

        `take_in` puts messages into the inbox. `stored` is called with the type of each new message once it is there,
        `told` after an answer to a refused one is in the outbox.

        Raises BrokerUnavailableError when the deliveries end by themselves, StoreUnavailableError when the store stays
        away, both in an exception group.
        """
        self._arrived = []
        self._is_open = True
        self._is_settling = False
        async with asyncio.TaskGroup() as tasks:  # a fourth of the cost of anyio's

            def begin(work: Coroutine[Any, Any, None]) -> None:
                if self._is_open:
                    tasks.create_task(work).add_done_callback(self._has_ended)
                else:
                    work.close()  # the broker offers it again

            def settle() -> None:
                """Begin with what has arrived, unless those who are at it will come to it."""
                if self._arrived and not self._is_settling and self._is_open:
                    self._is_settling = True
                    begin(settle_all())

            async def settle_all() -> None:
                """Take in one batch after the other until nothing is left."""
                try:
                    while self._arrived:
                        arrived, self._arrived = self._arrived[: self._batch], self._arrived[self._batch :]
                        begins = await self._begin(arrived)
                        receipts = await take_in([each.message for each in arrived])
                        await self._acknowledge(arrived, begins, receipts, stored)
                finally:
                    self._is_settling = False

            try:
                with self._reading:
                    async for delivery in deliveries:
                        receiving = self._telemetry.receiving(delivery)
                        try:
                            self._arrived.append(self._admit(delivery, receiving))
                        except InvalidMessageError as error:
                            begin(self._refuse(delivery, receiving, error, told))
                            continue
                        if len(self._arrived) == 1:
                            asyncio.get_running_loop().call_soon(settle)  # once nothing more is at hand
                        elif len(self._arrived) == self._batch:
                            settle()
                            await asyncio.sleep(0)
                    raise BrokerUnavailableError(
                        f"{self._agent.name} gets no more deliveries: its transport was closed"
                    )
                settle()
            finally:
                self._is_open = False

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        """Have nothing more begun once something has failed: the group takes no new tasks from then on."""
        if task.cancelled() or task.exception() is not None:
            self._is_open = False

    async def _acknowledge(
        self,
        arrived: Sequence[_Arrived],
        begins: Sequence[bool],
        receipts: Sequence[Receipt],
        stored: Callable[[str], None],
    ) -> None:
        for each, begin, receipt in zip(arrived, begins, receipts, strict=True):
            with each.receiving as receiving:
                receiving.concerns(each.envelope, begins=begin)
                receiving.note("interlock.receipt", receipt)
                if receipt is Receipt.CONFLICT:
                    await self._raise_alarm(each)
                    continue
                await each.delivery.ack()
            if receipt is Receipt.NEW:
                stored(each.envelope.type)

    async def _begin(self, arrived: Sequence[_Arrived]) -> Sequence[bool]:
        """Return for each whether a trace begins with it."""
        if self._telemetry.tracing is None:
            return [False] * len(arrived)
        return await asyncio.gather(*(self._beginnings.at(each.delivery, each.envelope) for each in arrived))

    async def _raise_alarm(self, arrived: _Arrived) -> None:
        envelope = arrived.envelope
        with about(self._agent.name, envelope.conversation_id, envelope.id, envelope.type):
            self._count_rejection("id_reused")
            await self._refusal.raise_alarm(arrived.delivery, envelope)

    async def _refuse(
        self, delivery: Delivery, receiving: Operation, error: InvalidMessageError, told: Callable[[], None]
    ) -> None:
        with receiving:
            receiving.failed(error)
            self._count_rejection(error.code)
            await self._refusal.refuse(delivery, error)
            told()

    def _admit(self, delivery: Delivery, receiving: Operation) -> _Arrived:
        envelope = self._admitted(delivery)
        self._kept.keep(delivery.body, envelope)
        return _Arrived(delivery, envelope, self._row(delivery, envelope), receiving)

    def _count_rejection(self, code: str) -> None:
        if self._telemetry.meters is not None:
            self._telemetry.meters.rejected(code)

    def admitted(self, delivery: Arrival) -> InboxMessage:
        """Return the inbox's row for what has arrived. Raises InvalidMessageError when it is not for this agent."""
        return self._row(delivery, self._admitted(delivery))

    def _admitted(self, delivery: Arrival) -> Envelope[Message]:
        envelope = accept(delivery, catalogue=self._agent.catalogue)
        if envelope.receiver not in {self._agent.name, ALL}:
            raise InvalidMessageError(RejectionCode.WRONG_RECEIVER, f"this is {self._agent.name}", path="to")
        if delivery.reply_to is not None:
            _require_address(delivery.reply_to, envelope.sender)
        return envelope

    def _row(self, delivery: Arrival, envelope: Envelope[Message]) -> InboxMessage:
        return InboxMessage(
            message_id=envelope.id,
            sender=envelope.sender,
            type=envelope.type,
            conversation_id=envelope.conversation_id,
            body=delivery.body,
            received_at=self._clock.now(),
            reply_to=delivery.reply_to,
        )


def _require_address(reply_to: str, sender: str) -> None:
    # What cannot be printed is no address of ours; a NUL would have PostgreSQL refuse the row, and those beside it.
    if not reply_to.startswith(f"reply.{sender}.") or not reply_to.isprintable():
        raise InvalidMessageError(RejectionCode.NOT_ALLOWED, "answers may go to the sender only", path="replyTo")
