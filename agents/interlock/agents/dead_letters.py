"""One agent's dead letters as people see them: the dead of its store and its parking queue; it changes nothing."""

from __future__ import annotations

__all__ = ["DeadLetterStore", "DeadLetters", "digest_of", "parked_name"]

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from interlock.bus.store.records import DeadRow, InboxState, RejectionRow, RepairRow
from interlock.bus.transport import Parked, Transport
from interlock.protocol.errors import InvalidMessageError, UsageError
from interlock.protocol.messages.repair import (
    DeadLetter,
    DeadLettersReport,
    DeadLettersRequest,
    DeadLetterState,
    FailedAttempt,
    RepairAction,
    RepairRecord,
)
from interlock.protocol.strict_json import parse_object

_DIGITS = 12
"""Of the digest, in the name of a parked message: enough to tell apart what lies in one queue."""
_LONGEST_LINE, _LONGEST_BODY = 500, 65_536
_ATTEMPTS_TOLD = 100
_OWN_TO_EACH = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b[0-9a-f]{16,}\b|\d{4}-\d{2}-\d{2}T[0-9:.+Z-]+")
"""What differs between errors that are alike: ids, digests, moments."""

_FOREIGN = re.compile(r"([A-Z]\w*): ")
"""How the history begins that an error has left which no code of ours has worded: it may hold anything."""

_LIMIT = "it came back more often than the delivery limit allows"
_STATES: Mapping[InboxState, DeadLetterState] = {
    InboxState.DEAD: DeadLetterState.DEAD,
    InboxState.READY: DeadLetterState.RETRIED,
    InboxState.LEASED: DeadLetterState.RETRIED,
    InboxState.DONE: DeadLetterState.HANDLED,
    InboxState.DROPPED: DeadLetterState.DROPPED,
    InboxState.REPLACED: DeadLetterState.REPLACED,
}
_ALIVE = frozenset({DeadLetterState.RETRIED, DeadLetterState.HANDLED})


class DeadLetterStore(Protocol):
    """What is read of a store; a whole `Store` has all of it."""

    async def dead(self, *, limit: int = 100, after: int = 0, settled: bool = False) -> tuple[DeadRow, ...]:
        """See `Store.dead`."""
        ...

    async def letter(self, seq: int) -> DeadRow | None:
        """See `Store.letter`."""
        ...

    async def rejections(self) -> tuple[RejectionRow, ...]:
        """See `Store.rejections`."""
        ...


class DeadLetters:
    """Answers questions about dead letters. Without a transport it knows those of the store only."""

    def __init__(self, store: DeadLetterStore, transport: Transport | None, *, discreet: bool) -> None:
        """`discreet` is for answers that travel: of errors that are not ours only the kind is told."""
        self._store = store
        self._transport = transport
        self._discreet = discreet

    async def report(self, request: DeadLettersRequest) -> DeadLettersReport:
        """Return what was asked for. Raises UsageError when there is no letter of that name."""
        if request.name is not None:
            return DeadLettersReport(letters=(await self._named(request.name, with_body=request.with_body),))
        dead = () if request.parked_only else await self._store.dead(limit=request.limit + 1)
        letters = [self._of_row(row, attempts_told=1) for row in dead]
        if self._transport is not None and len(letters) <= request.limit:
            parked = await self._transport.parked(limit=request.limit + 1 - len(letters))
            why = await self._reasons()
            letters += [_of_parked(message, why) for message in parked]
        return DeadLettersReport(letters=tuple(letters[: request.limit]), more=len(letters) > request.limit)

    async def _named(self, name: str, *, with_body: bool) -> DeadLetter:
        if not name.startswith("parked:"):
            row = await self._store.letter(int(name))
            if row is None or (_STATES[row.state] in _ALIVE and not row.repairs):
                raise UsageError(f"there is no dead letter {name}; 'interlock dead list' shows which there are")
            found = self._of_row(row, attempts_told=_ATTEMPTS_TOLD)
            return found.model_copy(update={"body": _text(row.message.body)}) if with_body else found
        if self._transport is not None:
            async with self._transport.parking() as deliveries:
                async for delivery in deliveries:
                    message = delivery.message
                    if f"parked:{digest_of(message)}".startswith(name):
                        found = _of_parked(message, await self._reasons())
                        return found.model_copy(update={"body": _text(message.body)}) if with_body else found
        raise UsageError(f"there is no {name}; 'interlock dead list' shows which there are")

    def _of_row(self, row: DeadRow, *, attempts_told: int) -> DeadLetter:
        failures = tuple(
            FailedAttempt(at=failure.at, error=self._told(failure.error)) for failure in row.failures[-attempts_told:]
        )
        return DeadLetter(
            name=str(row.seq),
            state=_STATES[row.state],
            reason=_alike(failures[-1].error) if failures else "no error is on record",
            message_id=_line(row.message.message_id),
            sender=_line(row.message.sender),
            type=_line(row.message.type),
            conversation_id=_line(row.message.conversation_id),
            received_at=row.message.received_at,
            ended_at=row.ended_at,
            attempts=row.attempts,
            failures=failures,
            repairs=tuple(_of_repair(repair) for repair in row.repairs[-_ATTEMPTS_TOLD:]),
            replaces=row.replaces,
        )

    def _told(self, error: str) -> str:
        foreign = _FOREIGN.match(error) if self._discreet else None
        return f"{foreign[1]} (its text stays in the agent's store)" if foreign else _line(error)

    async def _reasons(self) -> Mapping[str, str]:
        """Return why bodies were refused, by digest; of several reasons the latest."""
        rows = sorted(await self._store.rejections(), key=lambda row: row.last_at)
        return {row.body_hash: row.reason if row.code in row.reason else f"{row.reason} ({row.code})" for row in rows}


def digest_of(message: Parked) -> str:
    """Return the SHA-256 of a parked message's body, in hexadecimal."""
    return hashlib.sha256(message.body).hexdigest()


def parked_name(message: Parked) -> str:
    """Return the name of a parked message within its agent; messages with the same body share it."""
    return f"parked:{digest_of(message)[:_DIGITS]}"


def _of_repair(row: RepairRow) -> RepairRecord:
    return RepairRecord(
        action=RepairAction(row.action.value),
        at=row.at,
        by=_line(row.repair.by),
        reason=_cut(row.repair.reason),
        replacement_id=row.replacement_id,
    )


def _of_parked(message: Parked, reasons: Mapping[str, str]) -> DeadLetter:
    claimed = _claimed(message.body)
    refused = reasons.get(digest_of(message), "it was refused, for a reason that this store does not know")
    return DeadLetter(
        name=parked_name(message),
        state=DeadLetterState.PARKED,
        reason=_line(_LIMIT if message.reason == "delivery_limit" else refused),
        message_id=_word(claimed, "id"),
        sender=_line(message.sender) if message.sender else None,
        type=_line(message.routing_key.rpartition(".")[2]),
        conversation_id=_word(claimed, "conversationId"),
        ended_at=message.parked_at,
    )


def _claimed(body: bytes) -> Mapping[str, Any]:
    """Return the members of what may be no message at all."""
    try:
        return parse_object(body)
    except InvalidMessageError:
        return {}


def _word(members: Mapping[str, Any], name: str) -> str | None:
    value = members.get(name)
    return _line(value) if isinstance(value, str) and value else None


def _text(body: bytes) -> str:
    """Return a body as text without a character that a terminal would act on. Raises UsageError when it is too long."""
    try:
        text = json.dumps(parse_object(body))
    except InvalidMessageError:
        text = "".join(_escaped(character) for character in body.decode("utf-8", "backslashreplace"))
    if len(text) > _LONGEST_BODY:
        raise UsageError(f"the message has {len(body)} bytes: too long to be shown or edited; retry it or drop it")
    return text


def _alike(error: str) -> str:
    """Return an error without what only this message has: what fails alike reads alike."""
    return _line(_OWN_TO_EACH.sub("…", error))


def _line(text: str) -> str:
    return _cut(text) or "-"


def _cut(text: str) -> str:
    """Return the text on one line that a message may carry."""
    shown = "".join(_escaped(character) for character in " ".join(text.split()))
    return shown if len(shown) <= _LONGEST_LINE else f"{shown[: _LONGEST_LINE - 1]}…"


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
