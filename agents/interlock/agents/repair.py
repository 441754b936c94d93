"""Carries out what a person orders for an agent's dead letters, in the agent's own name; it asks nobody.

A parked message is taken in by the agent that refused it, from its own queue: so the sender that the broker vouched
for is judged anew, which a copy published by somebody else could not be.
"""

from __future__ import annotations

__all__ = ["Repairs"]

import json
from collections.abc import Callable
from typing import Any

from interlock.agents.agent import Agent, Handler
from interlock.agents.context import Context
from interlock.agents.dead_letters import DeadLetters, digest_of
from interlock.agents.intake import Intake
from interlock.agents.timer import TIMER
from interlock.bus.store.port import Store
from interlock.bus.store.records import AuditEntry, Commit, InboxMessage, Receipt, Repair
from interlock.bus.transport import Parked, ParkedDelivery, Transport, routing_key
from interlock.protocol.codec import CONTENT_TYPE, decode
from interlock.protocol.errors import InvalidMessageError, RejectionCode, UsageError
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Effect, Message
from interlock.protocol.messages.repair import (
    DeadLettersRequest,
    LetterOutcome,
    RepairAction,
    RepairOutcome,
    RepairRequest,
    RepairResult,
)
from interlock.protocol.messages.task import TaskDeclined
from interlock.protocol.strict_json import parse_object

_DONE = {RepairAction.RETRY: "retried", RepairAction.DROP: "dropped", RepairAction.EDIT: "edited"}


class Repairs:
    """Repairs one agent's dead letters, whether a message asks for it or a command that owns the store."""

    def __init__(
        self, agent: Agent, *, store: Store, transport: Transport | None, intake: Intake, woken: Callable[[], None]
    ) -> None:
        """Without a transport, parked messages cannot be reached. `woken` is called when there may be work."""
        self._agent = agent
        self._store = store
        self._transport = transport
        self._intake = intake
        self._woken = woken
        self._letters = DeadLetters(store, transport, discreet=True)

    def __repr__(self) -> str:
        return f"Repairs({self._agent.name!r})"

    def handler(self, type: str) -> Handler | None:  # noqa: A002 - the wire's word
        """Return what answers a message of this type in every agent; None when it is the agent's own to handle."""
        handlers: dict[str, Handler] = {
            DeadLettersRequest.declaration.type: self._report,
            RepairRequest.declaration.type: self._repair,
        }
        return handlers.get(type)

    async def carry_out(self, order: RepairRequest, *, key: str) -> RepairResult:
        """Return what became of each letter, in the order's order. The same order under the same key counts once.

        What cannot be done is an outcome of its letter, and does not hold up the others. Raises TransientError when
        store or broker are away; what was done until then stays done.
        """
        repair = Repair(by=order.by, reason=order.reason, key=key)
        outcomes: dict[str, LetterOutcome] = {}
        for name in order.letters:
            if not name.startswith("parked:"):
                outcomes[name] = await self._attempted(name, order, self._of_dead, int(name), repair)
        wanted = [name for name in order.letters if name.startswith("parked:")]
        if wanted and self._transport is not None:
            async with self._transport.parking() as deliveries:
                async for delivery in deliveries:
                    full = f"parked:{digest_of(delivery.message)}"
                    for name in [name for name in wanted if full.startswith(name)]:
                        wanted.remove(name)
                        outcomes[name] = await self._attempted(name, order, self._of_parked, delivery, repair)
                    if not wanted:
                        break
        for name in wanted:
            detail = "it is not in the parking queue; the audit trail says what was repaired"
            outcomes[name] = LetterOutcome(name=name, outcome=RepairOutcome.REFUSED, detail=detail)
        self._woken()
        return RepairResult(outcomes=tuple(outcomes[name] for name in dict.fromkeys(order.letters)))

    async def _report(self, request: DeadLettersRequest, _: Context) -> Message:
        try:
            return await self._letters.report(request)
        except UsageError as error:
            return TaskDeclined(code="no_such_letter", reason=str(error)[:500])

    async def _repair(self, order: RepairRequest, context: Context) -> Message:
        return await self.carry_out(order, key=context.envelope.id)

    async def _attempted(
        self, name: str, order: RepairRequest, step: Callable[..., Any], letter: object, repair: Repair
    ) -> LetterOutcome:
        try:
            replacement: str | None = await step(order, letter, repair)
        except (UsageError, InvalidMessageError) as error:
            return LetterOutcome(name=name, outcome=RepairOutcome.REFUSED, detail=str(error)[:500])
        return LetterOutcome(
            name=name, outcome=RepairOutcome.DONE, detail=_DONE[order.action], replacement_id=replacement
        )

    async def _of_dead(self, order: RepairRequest, number: int, repair: Repair) -> str | None:
        match order.action:
            case RepairAction.RETRY:
                await self._store.revive(number, repair)
            case RepairAction.DROP:
                await self._store.drop(number, repair)
            case RepairAction.EDIT:
                row = await self._store.letter(number)
                if row is None:
                    raise UsageError(f"message number {number} is not among the dead (it is unknown)")
                if row.message.type == TIMER:
                    raise UsageError(f"message number {number} is a timer of the agent's own: retry it or drop it")
                replacement = self._edited(_as_arrived(row.message), order, key=repair.key)
                await self._store.replace(number, replacement, repair)
                return replacement.message_id
        return None

    async def _of_parked(self, order: RepairRequest, delivery: ParkedDelivery, repair: Repair) -> str | None:
        parked = delivery.message
        replacement: str | None = None
        if order.action is not RepairAction.DROP:
            edits = order.action is RepairAction.EDIT
            message = self._edited(parked, order, key=repair.key) if edits else self._intake.admitted(parked)
            if await self._store.receive(message) is Receipt.CONFLICT:
                raise UsageError(f"message {message.message_id} is known with another body: edit it, or drop it")
            replacement = message.message_id if edits else None
        await self._store.commit(Commit(audit=(_line_about(parked, order, repair, replacement),)))
        await delivery.remove()
        return replacement

    def _edited(self, arrived: Parked, order: RepairRequest, *, key: str) -> InboxMessage:
        """Return the message with the ordered payload, under an id that follows from the old one.

        Raises InvalidMessageError when the result is not acceptable, UsageError when it may not be edited.
        """
        if order.payload is None or len(order.letters) > 1:
            raise UsageError("an edit is for one letter, and needs its new payload")
        members = parse_object(arrived.body)
        old_id = members.get("id")
        members["id"] = derived_id("edited", str(old_id), digest_of(arrived), key, order.payload)
        members["payload"] = parse_object(order.payload.encode())
        if order.version is not None:
            members["version"] = order.version
        body = json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()
        changed = Parked(
            body,
            arrived.routing_key,
            arrived.sender,
            arrived.reason,
            content_type=arrived.content_type,
            reply_to=arrived.reply_to,
        )
        message = self._intake.admitted(changed)
        declared = decode(body, catalogue=self._agent.catalogue).payload.declaration
        if declared.effect is Effect.DESTRUCTIVE:
            raise InvalidMessageError(
                RejectionCode.NOT_ALLOWED,
                f"{declared.type} orders something that cannot be undone: it was agreed on as it is. "
                "Retry or drop it, and have a new one made by whoever may order it",
                path="payload",
            )
        return message


def _as_arrived(message: InboxMessage) -> Parked:
    """Return a message of the inbox as the broker had delivered it."""
    members = parse_object(message.body)
    return Parked(
        message.body,
        routing_key(str(members.get("to")), message.type),
        message.sender,
        "dead",
        content_type=CONTENT_TYPE,
        reply_to=message.reply_to,
    )


def _line_about(parked: Parked, order: RepairRequest, repair: Repair, replacement: str | None) -> AuditEntry:
    try:
        members = parse_object(parked.body)
    except InvalidMessageError:
        members = {}
    details = {
        "bodySha256": digest_of(parked),
        "messageId": str(members.get("id", ""))[:100],
        "sender": parked.sender or "",
        "reason": repair.reason,
        "replacementId": replacement or "",
    }
    return AuditEntry(
        conversation_id=str(members.get("conversationId", "-"))[:100],
        actor=repair.by,
        action=f"parked_message_{_DONE[order.action]}",
        details={name: value for name, value in details.items() if value},
    )
