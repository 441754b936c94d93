"""What is written to the outbox leaves it once, in order, or stays with the reason."""

from __future__ import annotations

from datetime import timedelta

import pytest

from interlock.bus.clock import VirtualClock
from interlock.bus.errors import StoreConflictError
from interlock.bus.store.records import Commit
from interlock.bus.store.sql import SqlStore
from store_rows import outgoing


async def unsent_ids(store: SqlStore) -> list[str]:
    return [message.message_id for message in await store.unsent(limit=99)]


async def test_messages_wait_in_the_order_in_which_they_were_written(store: SqlStore) -> None:
    first, second = outgoing("o2"), outgoing("o1")
    await store.commit(Commit(outgoing=(first, second)))
    assert await store.unsent(limit=9) == (first, second)
    assert await store.unsent(limit=1) == (first,)
    await store.mark_sent(["o2", "unknown"])
    assert await unsent_ids(store) == ["o1"]


async def test_the_same_message_again_changes_nothing_even_after_it_was_sent(store: SqlStore) -> None:
    for _ in range(2):
        await store.commit(Commit(outgoing=(outgoing("o1"),)))
        await store.mark_sent(["o1"])
    assert await unsent_ids(store) == []


async def test_an_id_belongs_to_one_body(store: SqlStore) -> None:
    await store.commit(Commit(outgoing=(outgoing("o1"),)))
    with pytest.raises(StoreConflictError, match=r"message o1 .* another body"):
        await store.commit(Commit(outgoing=(outgoing("o0"), outgoing("o1", body=b"other"))))
    assert await unsent_ids(store) == ["o1"]


async def test_a_postponed_message_holds_back_its_conversation_to_the_same_receiver_only(
    store: SqlStore, clock: VirtualClock
) -> None:
    messages = (
        outgoing("held"),
        outgoing("behind"),
        outgoing("elsewhere", to="qa-agent"),
        outgoing("another", conversation="proj-141"),
    )
    await store.commit(Commit(outgoing=messages))
    due = clock.now() + timedelta(seconds=5)
    await store.postpone("held", not_before=due, error="unroutable")
    assert await unsent_ids(store) == ["elsewhere", "another"]
    assert await store.next_due() == due
    await clock.advance(5.0)
    assert await unsent_ids(store) == ["held", "behind", "elsewhere", "another"]
    assert await store.next_due() is None


async def test_an_abandoned_message_is_told_in_the_audit_trail_once(store: SqlStore) -> None:
    await store.commit(Commit(outgoing=(outgoing("o1"), outgoing("o2"))))
    for _ in range(2):
        await store.abandon("o1", error="refused: no right to write")
    assert await unsent_ids(store) == ["o2"]
    (line,) = await store.audit()
    assert (line.entry.actor, line.entry.action) == ("devops-agent", "outgoing_abandoned")
    assert line.entry.details["messageId"] == "o1"
    assert line.entry.details["error"] == "refused: no right to write"
