"""A real coordinator at work, with a devops agent that knows one answer to everything, up to where a person decides."""

from __future__ import annotations

__all__ = ["AUTHOR", "ISSUE", "TOPOLOGY", "Coordinating", "coordinating"]

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel

from interlock.agents.coordinator import coordinator
from interlock.agents.runtime import Runtime
from interlock.bus.bus import Bus
from interlock.bus.clock import Clock
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.transport import AgentQueue, Topology, Transport
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import conversation_of
from interlock.protocol.infrastructure import Budget
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalRequest
from interlock.protocol.messages.change import (
    ChangeRequested,
    CostEstimateReady,
    InfrastructureRequest,
    RequirementsAnalysed,
    RequirementsAnalysisRequest,
    TicketClosed,
    TicketCloseRequest,
)
from interlock.protocol.messages.task import TaskCancelled
from interlock.protocol.roles import CONSOLE, COORDINATOR, DEVOPS
from specimens import PROJ_140

ISSUE = "PROJ-140"
AUTHOR = "product-owner"
TOPOLOGY = Topology(tuple(AgentQueue(name) for name in (COORDINATOR, DEVOPS, CONSOLE)))

Connect = Callable[[str], Awaitable[Transport]]

_SPEC = PROJ_140
_BUDGET = Budget(monthly=Decimal(100))


class Coordinating:
    """What the console does beside deciding."""

    def __init__(self, console: Bus) -> None:
        self._console = console

    async def ask_for_budget(self, issue: str = ISSUE) -> ApprovalRequest:
        """Bring a change over its budget, and return what the console is asked."""
        request = ChangeRequested(jira_issue=issue, requested_by="release-lead")
        asked = await self._until("approval_request", request, issue)
        assert isinstance(asked, ApprovalRequest)
        return asked

    async def cancel(self, issue: str = ISSUE) -> None:
        """End a change."""
        await self._until("change_concluded", TaskCancelled(reason="no longer wanted"), issue)

    async def _until(self, awaited: str, message: Message, issue: str) -> Message:
        with anyio.fail_after(15):
            async with self._console.observe(f"console.{awaited}") as told:
                await self._console.publish(message, to=COORDINATOR, conversation_id=conversation_of(issue))
                return (await anext(aiter(told))).payload


@asynccontextmanager
async def coordinating(connect: Connect, *, state_dir: Path, clock: Clock) -> AsyncGenerator[Coordinating]:
    """Run the coordinator with its store in `state_dir`; the topology has to be declared."""
    async with AsyncExitStack() as stack:
        transports: dict[str, Transport] = {}
        for name in (COORDINATOR, DEVOPS, CONSOLE):
            transports[name] = await connect(name)
            stack.push_async_callback(transports[name].aclose)
        store = await SqliteStore.open(state_dir / "coordinator.sqlite", agent=COORDINATOR, clock=clock)
        stack.push_async_callback(store.aclose)
        runtime = Runtime(coordinator(), transport=transports[COORDINATOR], store=store, clock=clock)
        async with anyio.create_task_group() as tasks:
            ready = anyio.Event()
            tasks.start_soon(partial(runtime.run, ready=ready))
            tasks.start_soon(Bus(transports[DEVOPS], clock=clock).subscribe, _answer)
            await ready.wait()
            yield Coordinating(Bus(transports[CONSOLE], clock=clock))
            tasks.cancel_scope.cancel()


async def _answer(envelope: Envelope[Message]) -> Message | None:
    await anyio.lowlevel.checkpoint()
    match envelope.payload:
        case RequirementsAnalysisRequest(jira_issue=issue):
            return RequirementsAnalysed(
                jira_issue=issue, spec=_SPEC, environment=_SPEC.environment, budget=_BUDGET, author=AUTHOR
            )
        case InfrastructureRequest(jira_issue=issue):
            return CostEstimateReady(
                jira_issue=issue,
                monthly=Decimal(145),
                currency="USD",
                line_items=(),
                unpriced=(),
                source="a test",
                budget=_BUDGET,
                over_budget=True,
                digest=f"sha256:{'a' * 64}",
            )
        case TicketCloseRequest(jira_issue=issue):
            return TicketClosed(jira_issue=issue, status="Done", comment_id="1", attachments=())
        case _:
            return None
