"""What several operations of one kind write in a single statement, which needs neither transaction nor lock.

Each function does all that its operations ask for, or raises: then they are run again in a transaction, as
`together` has them, where each has a verdict of its own. What is then found done was done by the same claim.
"""

from __future__ import annotations

__all__ = ["NotAtOnceError", "finish"]

from collections.abc import Sequence

from interlock.bus.store.database import Connection
from interlock.bus.store.moments import to_micros
from interlock.bus.store.postgres.together import Finishing

# A message is written with the end of its cause or not at all. An id that is known fails the whole statement.
_FINISH = """
WITH ended AS (
    UPDATE inbox SET lease_until = NULL, state = 'done', not_before = NULL, ended_at = held.ended_at
    FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[]) AS held(seq, fence, ended_at)
    WHERE inbox.seq = held.seq AND inbox.fence = held.fence AND inbox.lease_until IS NOT NULL
    RETURNING inbox.seq, inbox.fence),
sent AS (
    INSERT INTO outbox(
        message_id, receiver, type, conversation_id, body, created_at, causation_id, reply_to, traceparent)
    SELECT message_id, receiver, type, conversation_id, body, created_at, causation_id, reply_to, traceparent
    FROM unnest(?4::bigint[], ?5::text[], ?6::text[], ?7::text[], ?8::text[], ?9::bytea[], ?10::bigint[], ?11::text[],
        ?12::text[], ?13::text[]) WITH ORDINALITY AS written(
        seq, message_id, receiver, type, conversation_id, body, created_at, causation_id, reply_to, traceparent, nth)
    JOIN ended USING (seq)
    ORDER BY nth)
SELECT count(*) FROM ended
"""


class NotAtOnceError(Exception):
    """Raised when not every operation was done."""


def finish(connection: Connection, ends: Sequence[Finishing]) -> list[None]:
    """End messages well whose commits hold nothing but outgoing messages."""
    if len({end.claim.seq for end in ends}) < len(ends):
        raise NotAtOnceError("one message is ended twice")
    messages = [(end.claim.seq, message) for end in ends for message in end.commit.outgoing]
    (ended,) = connection.execute(
        _FINISH,
        (
            [end.claim.seq for end in ends],
            [end.claim.fence for end in ends],
            [end.now for end in ends],
            [seq for seq, _ in messages],
            [message.message_id for _, message in messages],
            [message.receiver for _, message in messages],
            [message.type for _, message in messages],
            [message.conversation_id for _, message in messages],
            [message.body for _, message in messages],
            [to_micros(message.created_at) for _, message in messages],
            [message.causation_id for _, message in messages],
            [message.reply_to for _, message in messages],
            [message.traceparent for _, message in messages],
        ),
    ).fetchone()
    if ended < len(ends):
        raise NotAtOnceError(f"{len(ends) - ended} of {len(ends)} leases were not held")
    return [None] * len(ends)
