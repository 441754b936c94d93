"""A person's yes or no about one approval: sent to the coordinator, and followed until it has judged it.

It reads the coordinator's store to see the outcome, and changes nothing there: only the coordinator decides whether a
decision counts.
"""

from __future__ import annotations

__all__ = ["DecisionRefusedError", "Verdict", "decide"]

from typing import TypeAlias

from interlock.bus.bus import Bus
from interlock.bus.clock import Clock
from interlock.bus.errors import DeadlineExceededError
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.records import ApprovalRow
from interlock.bus.telemetry import Telemetry
from interlock.bus.transport import Transport
from interlock.protocol.codec import decode
from interlock.protocol.errors import PermanentError
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalGranted, ApprovalRefused
from interlock.protocol.messages.task import MessageRejected
from interlock.protocol.roles import COORDINATOR

Verdict: TypeAlias = ApprovalGranted | ApprovalDenied

_POLL = 0.1


class DecisionRefusedError(PermanentError):
    """Raised when the coordinator judged that a decision does not count; the refusal is on record."""

    def __init__(self, approval_id: str, code: str, reason: str) -> None:
        self.code = code
        super().__init__(f"approval {approval_id}: {reason} ({code})")


async def decide(
    verdict: Verdict,
    *,
    conversation_id: str,
    transport: Transport,
    reader: StoreReader,
    clock: Clock,
    timeout: float,
    telemetry: Telemetry | None = None,
) -> ApprovalRow:
    """Send the decision under the transport's identity, and return the approval as the coordinator then has it.

    `timeout` is in seconds, from the broker's confirm on. Cancelling leaves the decision sent.

    Raises DecisionRefusedError when it does not count, DeadlineExceededError when the coordinator has not judged it in
    time: it will, when it runs again. Raises what `Transport.publish` raises.
    """
    before = reader.approval(verdict.approval_id)
    bus = Bus(transport, clock=clock, telemetry=telemetry)
    message_id = await bus.publish(verdict, to=COORDINATOR, conversation_id=conversation_id)
    deadline = clock.monotonic() + timeout
    while (state := reader.inbox_state(message_id)) not in {"done", "dead"}:
        if clock.monotonic() >= deadline:
            raise DeadlineExceededError(COORDINATOR, verdict.declaration.type, message_id, timeout)
        await clock.sleep(_POLL)
    if state == "dead":
        raise PermanentError(
            f"the coordinator could not handle the decision (message {message_id}): it is among its dead letters"
        )
    for body in reader.consequences(message_id):
        answer = decode(body).payload
        if isinstance(answer, ApprovalRefused | MessageRejected):
            raise DecisionRefusedError(verdict.approval_id, answer.code, answer.reason)
    after = reader.approval(verdict.approval_id)
    if after is None or after == before:
        raise DecisionRefusedError(verdict.approval_id, "not_awaited", "its change has ended, nothing waits for it")
    return after
