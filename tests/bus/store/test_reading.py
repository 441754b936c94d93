"""What a recorder and a replay see of a store beside its owner, on each kind of store."""

from __future__ import annotations

from datetime import timedelta

from bus.store.harness import AGENT, StoreHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.store.opening import open_reader
from interlock.bus.store.records import Commit, TimerRow
from interlock.bus.store.sql import SqlStore
from store_rows import START, claim_one, incoming, outgoing


async def test_messages_are_read_in_the_order_in_which_they_were_taken_in_or_written(
    store: SqlStore, harness: StoreHarness
) -> None:
    await store.receive(incoming("m-1", body=b'{"in": 1}'))
    timer = TimerRow("proj-140", "overdue", START)
    await store.commit(Commit(outgoing=(outgoing("m-2", body=b'{"out": 1}'),), set_timers=(timer,)))
    await store.fire_timers(START)

    with open_reader(harness.address, agent=AGENT) as reader:
        assert reader.messages() == (b'{"in": 1}', b'{"out": 1}')


async def test_what_waits_for_a_worker_is_told_from_what_waits_for_its_moment(
    store: SqlStore, harness: StoreHarness, clock: VirtualClock
) -> None:
    await store.receive(incoming("m-1"))
    with open_reader(harness.address, agent=AGENT) as reader:
        assert reader.claimable(clock.now()) == 1
        claim = await claim_one(store)
        assert reader.claimable(clock.now()) == 0
        later = clock.now() + timedelta(seconds=5)
        await store.retry(claim, not_before=later, error="not yet")
        assert reader.claimable(clock.now()) == 0
        assert reader.claimable(later) == 1
