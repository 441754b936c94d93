"""Operations of one kind that share a commit, as one statement over arrays; it knows no transaction and no thread.

What an operation means stays written in the modules of the nouns: whatever a statement over arrays does not do for one
of its operations (a duplicate, a lost lease, a conflict) is left to that operation's own form, which gives the verdict.
"""

from __future__ import annotations

__all__ = [
    "Claiming",
    "Finishing",
    "Receiving",
    "Renewing",
    "Sending",
    "TakingIn",
    "claim",
    "finish",
    "mark_sent",
    "receive",
    "renew",
    "take_in",
]

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from interlock.bus.store import consequences, inbox, outbox
from interlock.bus.store.database import Connection
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.postgres import claiming
from interlock.bus.store.records import Claim, Commit, InboxMessage, OutboxMessage, Receipt, Taken

# Numbers are given in the order of the sorted rows: the order in which the operations were asked for.
_RECEIVE = """
INSERT INTO inbox(message_id, sender, type, conversation_id, body, body_hash, reply_to, received_at)
SELECT message_id, sender, type, conversation_id, body, body_hash, reply_to, received_at
FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bytea[], ?6::bytea[], ?7::text[], ?8::bigint[])
    WITH ORDINALITY AS offered(message_id, sender, type, conversation_id, body, body_hash, reply_to, received_at, nth)
WHERE NOT EXISTS (SELECT 1 FROM seen WHERE seen.message_id = offered.message_id)
ORDER BY nth
ON CONFLICT (message_id) DO NOTHING RETURNING message_id
"""

_FINISH = """
UPDATE inbox SET lease_until = NULL, state = 'done', not_before = NULL, ended_at = held.ended_at
FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[]) AS held(seq, fence, ended_at)
WHERE inbox.seq = held.seq AND inbox.fence = held.fence AND inbox.lease_until IS NOT NULL
RETURNING inbox.seq, inbox.fence
"""

_RENEW = """
UPDATE inbox SET lease_until = held.lease_until
FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[]) AS held(seq, fence, lease_until)
WHERE inbox.seq = held.seq AND inbox.fence = held.fence AND inbox.lease_until IS NOT NULL
RETURNING inbox.seq, inbox.fence
"""

_INSERT = """
INSERT INTO outbox(message_id, receiver, type, conversation_id, body, created_at, causation_id, reply_to, traceparent)
SELECT message_id, receiver, type, conversation_id, body, created_at, causation_id, reply_to, traceparent
FROM unnest(?1::text[], ?2::text[], ?3::text[], ?4::text[], ?5::bytea[], ?6::bigint[], ?7::text[], ?8::text[],
    ?9::text[]) WITH ORDINALITY AS written(
    message_id, receiver, type, conversation_id, body, created_at, causation_id, reply_to, traceparent, nth)
ORDER BY nth
ON CONFLICT (message_id) DO NOTHING RETURNING message_id
"""

_MARK_SENT = """
UPDATE outbox SET state = 'sent', ended_at = confirmed.at
FROM unnest(?1::text[], ?2::bigint[]) AS confirmed(message_id, at)
WHERE outbox.message_id = confirmed.message_id AND outbox.ended_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Receiving:
    """A message that is offered."""

    message: InboxMessage


@dataclass(frozen=True, slots=True)
class Claiming:
    """A wish for work; times in microseconds."""

    limit: int
    lease: int
    now: int


@dataclass(frozen=True, slots=True)
class TakingIn:
    """Messages that are offered, and a wish for work; times in microseconds."""

    messages: Sequence[InboxMessage]
    limit: int
    lease: int
    now: int


@dataclass(frozen=True, slots=True)
class Finishing:
    """A message that was handled, and what follows from it."""

    claim: Claim
    commit: Commit
    now: int


@dataclass(frozen=True, slots=True)
class Renewing:
    """Leases that are to last until a moment in microseconds."""

    claims: Sequence[Claim]
    until: int


@dataclass(frozen=True, slots=True)
class Sending:
    """Messages that the broker has confirmed."""

    message_ids: Sequence[str]
    now: int


def receive(connection: Connection, offers: Sequence[Receiving]) -> list[Receipt]:
    """Take messages in, in order; the first of two with one id is the one that counts."""
    messages = [offer.message for offer in offers]
    answer = connection.execute(
        _RECEIVE,
        (
            [message.message_id for message in messages],
            [message.sender for message in messages],
            [message.type for message in messages],
            [message.conversation_id for message in messages],
            [message.body for message in messages],
            [hashlib.sha256(message.body).digest() for message in messages],
            [message.reply_to for message in messages],
            [to_micros(message.received_at) for message in messages],
        ),
    )
    new = {row["message_id"] for row in answer}
    receipts: list[Receipt] = []
    for message in messages:
        if message.message_id in new:
            new.discard(message.message_id)
            receipts.append(Receipt.NEW)
        else:
            receipts.append(inbox.receive(connection, message))
    return receipts


def claim(connection: Connection, wishes: Sequence[Claiming]) -> list[tuple[Claim, ...]]:
    """Lease for all at once, and hand out in the order of the wishes, as if one had come after the other."""
    if len({wish.lease for wish in wishes}) > 1:
        return [
            claiming.claim(connection, limit=wish.limit, until=wish.now + wish.lease, now=wish.now) for wish in wishes
        ]
    if not any(wish.limit for wish in wishes):
        return [()] * len(wishes)
    latest = max(wish.now for wish in wishes)
    claims = claiming.claim(
        connection, limit=sum(wish.limit for wish in wishes), until=latest + wishes[0].lease, now=latest
    )
    shares: list[tuple[Claim, ...]] = []
    for wish in wishes:
        shares.append(claims[: wish.limit])
        claims = claims[wish.limit :]
    return shares


def take_in(connection: Connection, offers: Sequence[TakingIn]) -> list[Taken]:
    """Receive all messages, then lease for all at once."""
    receipts = iter(receive(connection, [Receiving(message) for offer in offers for message in offer.messages]))
    claims = claim(connection, [Claiming(offer.limit, offer.lease, offer.now) for offer in offers])
    return [
        Taken(tuple(itertools.islice(receipts, len(offer.messages))), share)
        for offer, share in zip(offers, claims, strict=True)
    ]


def finish(connection: Connection, ends: Sequence[Finishing]) -> list[None]:
    """End messages well. Raises as the operation's own form does, then nothing of the group may stay."""
    answer = connection.execute(
        _FINISH, ([end.claim.seq for end in ends], [end.claim.fence for end in ends], [end.now for end in ends])
    )
    ended = {(row["seq"], row["fence"]) for row in answer}
    outgoing: list[OutboxMessage] = []
    for end in ends:
        if (held := (end.claim.seq, end.claim.fence)) in ended:
            ended.discard(held)
        elif not inbox.finish(connection, end.claim, now=end.now):
            continue  # done before, with everything that followed
        outgoing.extend(end.commit.outgoing)
        consequences.write(connection, replace(end.commit, outgoing=()), now=end.now)
    _insert(connection, outgoing)
    return [None] * len(ends)


def renew(connection: Connection, renewals: Sequence[Renewing]) -> list[tuple[Claim, ...]]:
    """Prolong the leases that are still held; where one is renewed twice, the later wish counts."""
    ends = {(held.seq, held.fence): renewal.until for renewal in renewals for held in renewal.claims}
    answer = connection.execute(_RENEW, ([seq for seq, _ in ends], [fence for _, fence in ends], list(ends.values())))
    kept = {(row["seq"], row["fence"]) for row in answer}
    return [
        tuple(
            replace(held, lease_until=from_micros(renewal.until))
            for held in renewal.claims
            if (held.seq, held.fence) in kept
        )
        for renewal in renewals
    ]


def mark_sent(connection: Connection, confirms: Sequence[Sending]) -> list[None]:
    """Record confirms; an id that is not waiting is ignored."""
    pairs = [(message_id, confirm.now) for confirm in confirms for message_id in confirm.message_ids]
    connection.execute(_MARK_SENT, ([message_id for message_id, _ in pairs], [now for _, now in pairs]))
    return [None] * len(confirms)


def _insert(connection: Connection, messages: Sequence[OutboxMessage]) -> None:
    if not messages:
        return
    answer = connection.execute(
        _INSERT,
        (
            [message.message_id for message in messages],
            [message.receiver for message in messages],
            [message.type for message in messages],
            [message.conversation_id for message in messages],
            [message.body for message in messages],
            [to_micros(message.created_at) for message in messages],
            [message.causation_id for message in messages],
            [message.reply_to for message in messages],
            [message.traceparent for message in messages],
        ),
    )
    new = {row["message_id"] for row in answer}
    known: list[OutboxMessage] = []
    for message in messages:
        if message.message_id in new:
            new.discard(message.message_id)
        else:
            known.append(message)
    outbox.insert(connection, known)
