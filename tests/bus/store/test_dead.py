"""What was given up is kept with its history, and repaired by people whose names go on record."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.store.harness import AGENT, StoreHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.store.audit import verify_chain
from interlock.bus.store.opening import open_reader
from interlock.bus.store.records import (
    Commit,
    DeadRow,
    Failure,
    InboxState,
    Receipt,
    Repair,
    RepairAction,
    RepairRow,
)
from interlock.bus.store.sql import SqlStore
from interlock.protocol.errors import UsageError
from store_rows import START, claim_one, incoming

DANA = Repair(by="dana", reason="the bucket exists now")


async def given_up(store: SqlStore, message_id: str, *, error: str = "no bucket") -> DeadRow:
    """Receive a message and give it up at once."""
    await store.receive(incoming(message_id, conversation=f"about-{message_id}"))
    await store.bury(await claim_one(store), error=error)
    return (await store.dead())[-1]


async def test_the_dead_say_when_each_attempt_failed_and_when_they_were_given_up(
    store: SqlStore, clock: VirtualClock
) -> None:
    await store.receive(incoming("m1"))
    await store.retry(await claim_one(store), not_before=clock.now(), error="first")
    await clock.advance(60.0)
    await store.bury(await claim_one(store), error="second")
    (dead,) = await store.dead()
    later = START + timedelta(minutes=1)
    assert dead.failures == (Failure(START, "first"), Failure(later, "second"))
    assert (dead.message.received_at, dead.ended_at, dead.state) == (START, later, InboxState.DEAD)


async def test_the_dead_are_listed_in_pages(store: SqlStore) -> None:
    numbers = [(await given_up(store, f"m{number}")).seq for number in range(5)]
    first = await store.dead(limit=2)
    second = await store.dead(limit=2, after=first[-1].seq)
    assert [row.seq for row in (*first, *second)] == numbers[:4]


async def test_a_revival_says_who_and_why_and_what_has_become_of_the_message(
    store: SqlStore, clock: VirtualClock
) -> None:
    dead = await given_up(store, "m1")
    await clock.advance(5.0)
    await store.revive(dead.seq, DANA)
    await store.finish(await claim_one(store), Commit())
    letter = await store.letter(dead.seq)
    assert letter is not None
    assert letter.repairs == (RepairRow(RepairAction.RETRY, START + timedelta(seconds=5), DANA),)
    assert (letter.state, letter.errors) == (InboxState.DONE, ("no bucket",))


async def test_a_dropped_message_is_no_longer_waited_for_and_stays_known(store: SqlStore) -> None:
    dead = await given_up(store, "m1")
    await store.drop(dead.seq, DANA)
    assert await store.dead() == ()
    assert (await store.counts()).dead == 0
    (dropped,) = await store.dead(settled=True)
    assert dropped.state is InboxState.DROPPED
    assert await store.receive(dead.message) is Receipt.DUPLICATE
    assert await store.claim(limit=1, lease=30.0) == ()


async def test_an_edit_puts_a_new_message_in_the_place_of_the_dead_one_and_both_know(store: SqlStore) -> None:
    dead = await given_up(store, "m1")
    await store.replace(dead.seq, incoming("m1-edited", conversation="about-m1", body=b'{"fixed":true}'), DANA)
    claim = await claim_one(store)
    assert (claim.message.message_id, claim.message.body, claim.attempt) == ("m1-edited", b'{"fixed":true}', 1)
    (replaced,) = await store.dead(settled=True)
    assert (replaced.state, replaced.repairs[0].replacement_id) == (InboxState.REPLACED, "m1-edited")
    replacement = await store.letter(claim.seq)
    assert replacement is not None
    assert (replacement.replaces, replacement.state) == ("m1", InboxState.LEASED)
    assert await store.receive(dead.message) is Receipt.DUPLICATE


async def test_a_replacement_with_an_id_that_is_known_changes_nothing(store: SqlStore) -> None:
    first, second = await given_up(store, "m1"), await given_up(store, "m2")
    with pytest.raises(UsageError, match="message m1 is in the inbox already"):
        await store.replace(second.seq, first.message, DANA)
    assert [row.state for row in await store.dead()] == [InboxState.DEAD, InboxState.DEAD]
    assert await store.audit() == ()


async def test_what_was_dropped_can_be_neither_revived_nor_edited(store: SqlStore) -> None:
    dead = await given_up(store, "m1")
    await store.drop(dead.seq, DANA)
    for repair in (
        store.revive(dead.seq, DANA),
        store.drop(dead.seq, DANA),
        store.replace(dead.seq, incoming("m1-edited"), DANA),
    ):
        with pytest.raises(UsageError, match=r"not among the dead \(it is dropped\)"):
            await repair


async def test_an_order_that_comes_twice_is_carried_out_once(store: SqlStore) -> None:
    dead = await given_up(store, "m1")
    order = Repair(by="dana", key="order-1")
    await store.revive(dead.seq, order)
    await store.bury(await claim_one(store), error="no bucket still")
    await store.revive(dead.seq, order)
    assert [row.seq for row in await store.dead()] == [dead.seq]
    with pytest.raises(UsageError, match="was a retry: a drop needs another key"):
        await store.drop(dead.seq, order)
    await store.revive(dead.seq, Repair(by="dana", key="order-2"))
    assert await store.dead() == ()


async def test_every_repair_is_a_line_of_the_audit_trail_with_its_person(store: SqlStore) -> None:
    first, second, third = [await given_up(store, f"m{number}") for number in (1, 2, 3)]
    await store.revive(first.seq, DANA)
    await store.drop(second.seq, Repair(by="kim"))
    await store.replace(third.seq, incoming("m3-edited", conversation="about-m3"), Repair(by="lee"))
    trail = await store.audit()
    assert [(row.entry.actor, row.entry.action, row.entry.conversation_id) for row in trail] == [
        ("dana", "dead_letter_retried", "about-m1"),
        ("kim", "dead_letter_dropped", "about-m2"),
        ("lee", "dead_letter_edited", "about-m3"),
    ]
    assert trail[0].entry.details["reason"] == "the bucket exists now"
    assert trail[2].entry.details["replacementId"] == "m3-edited"
    assert verify_chain(trail) is None


async def test_refusals_are_listed_with_how_often_they_came(store: SqlStore, clock: VirtualClock) -> None:
    await store.reject("aa", "unknown_type", "no such type")
    await clock.advance(1.0)
    await store.reject("bb", "not_json", "no JSON")
    await store.reject("bb", "not_json", "no JSON")
    assert [(row.body_hash, row.code, row.times) for row in await store.rejections()] == [
        ("bb", "not_json", 2),
        ("aa", "unknown_type", 1),
    ]


async def test_a_reader_sees_the_same_dead_beside_the_owner(store: SqlStore, harness: StoreHarness) -> None:
    dead = await given_up(store, "m1")
    await store.reject("aa", "unknown_type", "no such type")
    with open_reader(harness.address, agent=AGENT) as reader:
        assert reader.dead() == await store.dead()
        assert reader.letter(dead.seq) == dead
        assert reader.letter(99) is None
        assert reader.rejections() == await store.rejections()
