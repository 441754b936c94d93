"""The way to one agent's dead letters: over the bus while it runs, else by its store and in its name at the broker.

It knows no command and shows nothing.
"""

from __future__ import annotations

__all__ = ["LetterBox"]

from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import anyio

from interlock.agents.agent import Agent
from interlock.agents.cli.broker import connected, telling
from interlock.agents.dead_letters import DeadLetters
from interlock.agents.intake import Intake
from interlock.agents.patience import Patience
from interlock.agents.repair import Repairs
from interlock.agents.settings import Settings
from interlock.bus.bus import Bus
from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError, DeadlineExceededError, NotPermittedError, StoreBusyError
from interlock.bus.store.lock import FileLock
from interlock.bus.store.opening import is_shared, open_reader, open_store
from interlock.bus.store.port import Store
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.records import DeadRow, RejectionRow
from interlock.bus.transport import Transport
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import InterlockError, PermanentError, UsageError
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message, Request
from interlock.protocol.messages.repair import DeadLettersReport, DeadLettersRequest, RepairRequest, RepairResult
from interlock.protocol.messages.task import MessageRejected, TaskDeclined
from interlock.protocol.roles import CONSOLE

AnswerT = TypeVar("AnswerT", DeadLettersReport, RepairResult)

_PATIENCE = 5.0
"""Seconds for which a store that is busy is waited for."""
_AWAY = (BrokerUnavailableError, DeadlineExceededError, NotPermittedError)


class LetterBox:
    """One agent's dead letters, for the length of a context. What it needs is opened when it is needed."""

    def __init__(self, agent: str, *, settings: Settings, clock: Clock, timeout: float) -> None:
        """`timeout` is how long a running agent may take to answer, in seconds."""
        self.agent = agent
        self.unseen: str | None = None
        """Why the latest report has no parked messages; None: it has them."""
        self._settings = settings
        self._clock = clock
        self._timeout = timeout
        self._stack = AsyncExitStack()
        self._bus: Bus | None = None
        self._own: Transport | None = None
        self._store: Store | None = None

    def __repr__(self) -> str:
        return f"LetterBox({self.agent!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()

    @property
    def _address(self) -> str:
        return self._settings.store_address(self.agent)

    @property
    def _is_here(self) -> bool:
        """Whether the agent's store can be opened from here."""
        return is_shared(self._address) or Path(self._address).is_file()

    async def report(self, request: DeadLettersRequest) -> DeadLettersReport:
        """Return what was asked for. Where the parking queue cannot be reached, the dead alone; `unseen` says why.

        Where the agent's store is here, the dead are read from it. Raises UsageError when there is no such letter, or
        nothing to read; what the bus raises where there is no store.
        """
        if not self._is_here:
            return await self._asked(request, DeadLettersReport)
        if request.name is not None and request.name.startswith("parked:"):
            return await self._parked(request)
        with open_reader(self._address, agent=self.agent) as reader:
            dead = await DeadLetters(_Reading(reader), None, discreet=False).report(request)
        room = request.limit - len(dead.letters)
        if request.name is not None or not room:
            return dead
        try:
            parked = await self._parked(request.model_copy(update={"parked_only": True, "limit": room}))
        except (*_AWAY, UsageError) as error:
            self.unseen = str(error).removeprefix(f"{self.agent} ")
            return dead
        return DeadLettersReport(letters=dead.letters + parked.letters, more=dead.more or parked.more)

    async def _parked(self, request: DeadLettersRequest) -> DeadLettersReport:
        """Look into the parking queue: only its agent may, so it is asked while it runs."""
        if self._is_running():
            return await self._asked(request, DeadLettersReport)
        with open_reader(self._address, agent=self.agent) as reader:
            return await DeadLetters(_Reading(reader), await self._as_agent(), discreet=False).report(request)

    async def repair(self, order: RepairRequest) -> RepairResult:
        """Have the agent carry an order out, or do so in its place while it does not run.

        Raises what the bus raises; UsageError when the store is not the agent's.
        """
        parked = any(name.startswith("parked:") for name in order.letters)
        if self._store is None and self._is_here and not (self._is_running() and (parked or not self._is_shared)):
            self._store = await self._opened()
        if self._store is None or (parked and self._is_shared):
            return await self._asked(order, RepairResult)
        agent = Agent(self.agent, catalogue=installed_catalogue())
        patience = Patience(self._clock, longest=_PATIENCE)
        repairs = Repairs(
            agent,
            store=self._store,
            transport=await self._as_agent() if parked else None,
            intake=Intake(agent, store=self._store, clock=self._clock, patience=patience),
            woken=lambda: None,
        )
        return await repairs.carry_out(order, key=new_id())

    async def _opened(self) -> Store | None:
        """Open the store to write; None when it is a file whose agent has started meanwhile."""
        try:
            store = await open_store(self._address, agent=self.agent, clock=self._clock)
        except StoreBusyError:
            return None
        self._stack.push_async_callback(store.aclose)
        return store

    async def _asked(self, request: Request, kind: type[AnswerT]) -> AnswerT:
        if self._bus is None:
            transport = await self._stack.enter_async_context(
                connected(self._settings, identity=CONSOLE, clock=self._clock)
            )
            telemetry = await self._stack.enter_async_context(
                telling(self._settings, identity=CONSOLE, clock=self._clock)
            )
            self._bus = Bus(transport, clock=self._clock, telemetry=telemetry)
        answer: Message = await self._bus.request(request, to=self.agent, timeout=self._timeout)
        if isinstance(answer, kind):
            return answer
        raise _refusal(self.agent, answer)

    async def _as_agent(self) -> Transport:
        if self._own is None:
            self._own = await self._stack.enter_async_context(
                connected(self._settings, identity=self.agent, clock=self._clock)
            )
        return self._own

    @property
    def _is_shared(self) -> bool:
        return is_shared(self._address)

    def _is_running(self) -> bool:
        """Return whether the agent may be at work; of a store that replicas share nobody can tell."""
        if self._is_shared:
            return True
        try:
            FileLock.acquire(Path(self._address)).release()
        except StoreBusyError:
            return True
        return False


class _Reading:
    """A reader's view of a store, as `DeadLetters` asks for it."""

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader

    async def dead(self, *, limit: int = 100, after: int = 0, settled: bool = False) -> tuple[DeadRow, ...]:
        return self._reader.dead(limit=limit, after=after, settled=settled)

    async def letter(self, seq: int) -> DeadRow | None:
        return self._reader.letter(seq)

    async def rejections(self) -> tuple[RejectionRow, ...]:
        return self._reader.rejections()


def _refusal(agent: str, answer: Message) -> InterlockError:
    match answer:
        case TaskDeclined(code="no_such_letter"):
            return UsageError(f"{agent}: {answer.reason}")
        case TaskDeclined() | MessageRejected():
            return PermanentError(f"{agent} refuses: {answer.reason} ({answer.code})")
        case _:
            return PermanentError(f"{agent} answers with {answer.declaration.type}, which is no answer to this")
