"""Messages are taken in once, worked on in order and by one at a time, and never lost track of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import anyio.to_thread
import pytest

from bus.store.harness import StoreHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.errors import LeaseLostError, StoreConflictError
from interlock.bus.store.records import Commit, Receipt, Repair
from interlock.bus.store.sql import SqlStore
from interlock.protocol.errors import UsageError
from store_rows import START, claim_one, incoming, outgoing, workflow


async def test_a_message_is_new_once_and_a_duplicate_ever_after(store: SqlStore) -> None:
    assert await store.receive(incoming("m1")) is Receipt.NEW
    assert await store.receive(incoming("m1")) is Receipt.DUPLICATE
    await store.finish(await claim_one(store), Commit())
    assert await store.receive(incoming("m1")) is Receipt.DUPLICATE
    assert await store.claim(limit=9, lease=30.0) == ()


async def test_what_is_taken_in_is_leased_in_the_same_transaction(store: SqlStore) -> None:
    rows = [incoming(name, conversation=name[0]) for name in ("a1", "a2", "b1", "c1")]
    taken = await store.take_in(rows, limit=2, lease=30.0)
    assert taken.receipts == (Receipt.NEW,) * 4
    assert [claim.message for claim in taken.claims] == [rows[0], rows[2]], "one of each conversation, and two at most"
    assert [(claim.attempt, claim.followed, claim.begun) for claim in taken.claims] == [
        (1, True, False),
        (1, False, False),
    ]
    assert len({claim.fence for claim in taken.claims}) == 2
    again = await store.take_in([rows[0], incoming("b1", conversation="b", body=b"forged")], limit=9, lease=30.0)
    assert again.receipts == (Receipt.DUPLICATE, Receipt.CONFLICT)
    assert [claim.message for claim in again.claims] == [rows[3]], "what waited, and nothing that is held"
    for claim in (*taken.claims, *again.claims):
        await store.finish(claim, Commit())
    assert (await claim_one(store)).message.message_id == "a2"


async def test_what_is_taken_in_waits_for_what_is_older(store: SqlStore) -> None:
    await store.receive(incoming("a1", conversation="a"))
    taken = await store.take_in([incoming("b1", conversation="b")], limit=1, lease=30.0)
    assert [claim.message.message_id for claim in taken.claims] == ["a1"]
    none = await store.take_in([incoming("c1", conversation="c")], limit=0, lease=30.0)
    assert (none.receipts, none.claims) == ((Receipt.NEW,), ())
    assert [claim.message.message_id for claim in await store.claim(limit=9, lease=30.0)] == ["b1", "c1"]


async def test_a_known_id_with_another_body_is_a_conflict_and_changes_nothing(store: SqlStore) -> None:
    await store.receive(incoming("m1", body=b"first"))
    assert await store.receive(incoming("m1", body=b"forged")) is Receipt.CONFLICT
    assert (await claim_one(store)).message.body == b"first"


async def test_what_was_pruned_stays_known_with_its_body(store: SqlStore, clock: VirtualClock) -> None:
    await store.receive(incoming("m1"))
    await store.finish(await claim_one(store), Commit(outgoing=(outgoing("o1"),)))
    await store.mark_sent(["o1"])
    assert await store.prune(clock.now()) == 0
    await clock.advance(1.0)
    assert await store.prune(clock.now()) == 2
    assert await store.receive(incoming("m1")) is Receipt.DUPLICATE
    assert await store.receive(incoming("m1", body=b"forged")) is Receipt.CONFLICT


async def test_a_claim_carries_the_message_as_it_was_received(store: SqlStore) -> None:
    message = incoming("m1", body=b"\x00\xff")
    await store.receive(message)
    claim = await claim_one(store)
    assert (claim.message, claim.attempt) == (message, 1)
    assert claim.lease_until == START + timedelta(seconds=30)


async def test_one_message_per_conversation_is_claimed_and_the_next_when_it_is_done(store: SqlStore) -> None:
    for message_id, conversation in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        await store.receive(incoming(message_id, conversation=conversation))
    first = await store.claim(limit=9, lease=30.0)
    assert [claim.message.message_id for claim in first] == ["a1", "b1"]
    assert await store.claim(limit=9, lease=30.0) == ()
    await store.finish(first[0], Commit())
    assert (await claim_one(store)).message.message_id == "a2"


async def test_a_message_that_waits_for_its_retry_holds_back_its_conversation_only(
    store: SqlStore, clock: VirtualClock
) -> None:
    await store.receive(incoming("a1", conversation="a"))
    await store.receive(incoming("a2", conversation="a"))
    due = clock.now() + timedelta(seconds=10)
    await store.retry(await claim_one(store), not_before=due, error="jira is away")
    assert await store.claim(limit=9, lease=30.0) == ()
    assert await store.next_due() == due
    await store.receive(incoming("b1", conversation="b"))
    assert (await claim_one(store)).message.message_id == "b1"
    await clock.advance(10.0)
    again = await claim_one(store)
    assert (again.message.message_id, again.attempt) == ("a1", 2)


async def test_a_lease_that_ran_out_is_claimed_again_under_a_higher_fence(store: SqlStore, clock: VirtualClock) -> None:
    await store.receive(incoming("m1"))
    stalled = await claim_one(store)
    assert await store.next_due() == stalled.lease_until
    await clock.advance(30.0)
    second = await claim_one(store)
    assert (second.attempt, second.fence > stalled.fence) == (2, True)
    with pytest.raises(LeaseLostError, match="message m1 is no longer held under fence 1"):
        await store.finish(stalled, Commit(outgoing=(outgoing("o1"),)))
    assert await store.unsent(limit=9) == ()
    await store.finish(second, Commit())


async def test_a_stale_holder_is_refused_whatever_it_tries(store: SqlStore, clock: VirtualClock) -> None:
    await store.receive(incoming("m1"))
    stalled = await claim_one(store)
    await clock.advance(31.0)
    held = await claim_one(store)
    for attempt in (
        store.retry(stalled, not_before=clock.now(), error="late"),
        store.release(stalled),
        store.bury(stalled, error="late"),
    ):
        with pytest.raises(LeaseLostError):
            await attempt
    assert [claim.fence for claim in await store.renew([stalled, held], lease=60.0)] == [held.fence]


async def test_ending_a_message_again_under_the_same_fence_changes_nothing(store: SqlStore) -> None:
    """As after a commit whose answer was lost."""
    await store.receive(incoming("m1"))
    done = await claim_one(store)
    for _ in range(2):
        await store.finish(done, Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
    await store.receive(incoming("m2"))
    given_up = await claim_one(store)
    for _ in range(2):
        await store.bury(given_up, error="no", commit=Commit(workflow=workflow(2)))
    (dead,) = await store.dead()
    assert dead.errors == ("no",)
    assert (await store.counts()).unsent == 1


async def test_a_renewed_lease_lasts_longer(store: SqlStore, clock: VirtualClock) -> None:
    await store.receive(incoming("m1"))
    (renewed,) = await store.renew([await claim_one(store)], lease=60.0)
    assert renewed.lease_until == clock.now() + timedelta(seconds=60)
    await clock.advance(59.0)
    assert await store.claim(limit=1, lease=30.0) == ()
    await store.finish(renewed, Commit())


async def test_a_released_message_has_spent_no_attempt(store: SqlStore) -> None:
    await store.receive(incoming("m1"))
    await store.release(await claim_one(store))
    assert (await claim_one(store)).attempt == 1


async def test_a_message_that_was_claimed_before_is_known_as_begun_also_when_that_did_not_count(
    store: SqlStore,
) -> None:
    await store.receive(incoming("m1"))
    first = await claim_one(store)
    assert not first.begun
    await store.release(first)
    again = await claim_one(store)
    assert (again.attempt, again.begun) == (1, True)
    await store.bury(again, error="no such host")
    await store.revive(again.seq, Repair(by="dana"))
    revived = await claim_one(store)
    assert (revived.attempt, revived.begun) == (1, True)


async def test_an_error_that_no_database_can_keep_is_kept_escaped(store: SqlStore, clock: VirtualClock) -> None:
    await store.receive(incoming("m1"))
    await store.retry(await claim_one(store), not_before=clock.now(), error="peer said \ud83d and \x00")
    await store.bury(await claim_one(store), error="again \ud83d")
    (dead,) = await store.dead()
    assert [failure.error for failure in dead.failures] == ["peer said \\ud83d and \\x00", "again \\ud83d"]


async def test_fences_grow_over_all_messages(store: SqlStore) -> None:
    for number in range(4):
        await store.receive(incoming(f"m{number}", conversation=f"c{number}"))
    fences = [claim.fence for _ in range(2) for claim in await store.claim(limit=2, lease=30.0)]
    assert fences == sorted(set(fences))


async def test_the_dead_keep_their_history_and_can_be_revived(store: SqlStore, clock: VirtualClock) -> None:
    await store.receive(incoming("m1"))
    await store.retry(await claim_one(store), not_before=clock.now(), error="first")
    await store.bury(await claim_one(store), error="second", commit=Commit(outgoing=(outgoing("declined"),)))
    (dead,) = await store.dead()
    assert (dead.message.message_id, dead.attempts, dead.errors) == ("m1", 2, ("first", "second"))
    assert [message.message_id for message in await store.unsent(limit=9)] == ["declined"]
    await store.revive(dead.seq, Repair(by="dana"))
    assert await store.dead() == ()
    revived = await claim_one(store)
    assert revived.attempt == 1
    await store.bury(revived, error="third")
    assert (await store.dead())[0].errors == ("first", "second", "third")


async def test_a_revived_message_waits_for_the_one_that_is_being_worked_on(store: SqlStore) -> None:
    await store.receive(incoming("m1"))
    await store.receive(incoming("m2"))
    await store.bury(await claim_one(store), error="no")
    second = await claim_one(store)
    await store.revive((await store.dead())[0].seq, Repair(by="dana"))
    assert await store.claim(limit=9, lease=30.0) == ()
    await store.finish(second, Commit())
    assert (await claim_one(store)).message.message_id == "m1"


async def test_only_the_dead_can_be_revived(store: SqlStore) -> None:
    with pytest.raises(UsageError, match=r"message number 7 is not among the dead \(it is unknown\)"):
        await store.revive(7, Repair(by="dana"))


async def test_a_commit_that_fails_leaves_the_message_claimed_and_nothing_written(store: SqlStore) -> None:
    await store.receive(incoming("m1"))
    claim = await claim_one(store)
    with pytest.raises(StoreConflictError):
        await store.finish(claim, Commit(outgoing=(outgoing("o1"),), workflow=workflow(2)))
    assert await store.unsent(limit=9) == ()
    await store.finish(claim, Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
    assert (await store.counts()).unsent == 1


async def test_rejections_are_counted_by_body_and_reason(store: SqlStore, harness: StoreHarness) -> None:
    for code in ("not_json", "not_json", "too_large"):
        await store.reject("ab" * 32, code, "refused")
    await store.aclose()
    rows = await anyio.to_thread.run_sync(harness.query, "SELECT code, times FROM rejection ORDER BY code")
    assert rows == [("not_json", 2), ("too_large", 1)]


async def test_cancellations_are_found_behind_what_they_may_concern_while_that_is_worked_on(store: SqlStore) -> None:
    for message_id, conversation in (("a1", "a"), ("b1", "b"), ("a2", "a")):
        await store.receive(incoming(message_id, conversation=conversation))
    await store.receive(replace(incoming("a3", conversation="a"), type="task_cancelled"))
    await store.receive(replace(incoming("c1", conversation="c"), type="task_cancelled"))
    first, second, _ = await store.claim(limit=3, lease=30.0)
    assert [found.message_id for found in await store.cancellations((first, second))] == ["a3"]
    assert await store.cancellations((second,)) == ()
    await store.finish(first, Commit())
    behind = await claim_one(store)
    assert [found.message_id for found in await store.cancellations((behind,))] == ["a3"]
    await store.finish(behind, Commit())
    order = await claim_one(store)
    assert await store.cancellations((order,)) == ()


async def test_a_claim_tells_whether_more_of_its_conversation_waits(store: SqlStore) -> None:
    for message_id, conversation in (("a1", "a"), ("b1", "b"), ("a2", "a")):
        await store.receive(incoming(message_id, conversation=conversation))
    assert [claim.followed for claim in await store.claim(limit=2, lease=30.0)] == [True, False]
