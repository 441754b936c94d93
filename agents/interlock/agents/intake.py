"""Takes deliveries into the inbox, or has them refused; the bus's border control. It never runs a handler."""

from __future__ import annotations

__all__ = ["Intake"]

import asyncio
from collections.abc import AsyncIterator, Callable

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


class Intake:
    """Reads deliveries in order and acknowledges what is safely stored; up to `window` share the store's commits.

    While the store is away, deliveries wait here unacknowledged, so none costs an attempt; their order among
    themselves may then be lost.
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
        window: int = 64,
    ) -> None:
        """What it takes in is left in `admitted` for the one who works on it."""
        self._agent = agent
        self._store = store
        self._clock = clock
        self._patience = patience
        self._telemetry = telemetry
        self._beginnings = Beginnings(store, patience=patience, telemetry=telemetry)
        self._refusal = Refusal(agent.name, store=store, clock=clock, patience=patience)
        self._kept = AdmittedEnvelopes() if admitted is None else admitted
        self._window = anyio.Semaphore(window, fast_acquire=True)
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
        storing: Callable[[], None],
        stored: Callable[[str], None],
        told: Callable[[], None],
    ) -> None:
        """Take in until `stop`.

        `storing` is called when the store was told to take a message in: what is asked of it then sees the message, and
        shares the commit. `stored` is called with the type of each new message once it is safely in the inbox, `told`
        after an answer to a refused one is in the outbox.

        Raises BrokerUnavailableError when the deliveries end by themselves, StoreUnavailableError when the store stays
        away, both in an exception group.
        """
        async with asyncio.TaskGroup() as tasks:  # a fourth of the cost of anyio's, for as many tasks as messages
            with self._reading:
                async for delivery in deliveries:
                    await self._window.acquire()
                    tasks.create_task(self._take(delivery, storing, stored, told))
                raise BrokerUnavailableError(f"{self._agent.name} gets no more deliveries: its transport was closed")

    async def _take(
        self,
        delivery: Delivery,
        storing: Callable[[], None],
        stored: Callable[[str], None],
        told: Callable[[], None],
    ) -> None:
        try:
            with self._telemetry.receiving(delivery) as receiving:
                await self._settle(delivery, receiving, storing, stored, told)
        finally:
            self._window.release()

    async def _settle(
        self,
        delivery: Delivery,
        receiving: Operation,
        storing: Callable[[], None],
        stored: Callable[[str], None],
        told: Callable[[], None],
    ) -> None:
        try:
            envelope = self._admitted(delivery)
            receiving.concerns(envelope, begins=await self._beginnings.at(delivery, envelope))
            with about(self._agent.name, envelope.conversation_id, envelope.id, envelope.type):
                self._kept.keep(delivery.body, envelope)
                receipt = await self._patience.insist(self._receive, self._row(delivery, envelope), storing)
                receiving.note("interlock.receipt", receipt)
                if receipt is Receipt.CONFLICT:
                    self._count_rejection("id_reused")
                    await self._refusal.raise_alarm(delivery, envelope)
                    return
            await delivery.ack()
            if receipt is Receipt.NEW:
                stored(envelope.type)
        except InvalidMessageError as error:
            receiving.failed(error)
            self._count_rejection(error.code)
            await self._refusal.refuse(delivery, error)
            told()

    async def _receive(self, message: InboxMessage, storing: Callable[[], None]) -> Receipt:
        # Runs as soon as this task waits: then the store has the message in its queue.
        asyncio.get_running_loop().call_soon(storing)
        return await self._store.receive(message)

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
        if delivery.reply_to is not None and not delivery.reply_to.startswith(f"reply.{envelope.sender}."):
            raise InvalidMessageError(RejectionCode.NOT_ALLOWED, "answers may go to the sender only", path="replyTo")
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
