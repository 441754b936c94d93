"""A timer becomes exactly one message, at its moment or as soon as somebody looks."""

from __future__ import annotations

from datetime import timedelta

from interlock.bus.clock import VirtualClock
from interlock.bus.store.records import Commit, TimerRow
from interlock.bus.store.sql import SqlStore
from store_rows import START, claim_one, incoming


def after(seconds: float, *, name: str = "escalate") -> TimerRow:
    return TimerRow("proj-140", name, START + timedelta(seconds=seconds))


async def test_a_due_timer_becomes_a_message_of_the_agent_to_itself(store: SqlStore, clock: VirtualClock) -> None:
    await store.commit(Commit(set_timers=(after(10),)))
    assert await store.fire_timers(clock.now()) == 0
    assert await store.next_due() == START + timedelta(seconds=10)
    await clock.advance(10.0)
    assert await store.fire_timers(clock.now()) == 1
    (claim,) = await store.claim(limit=9, lease=30.0)
    message = claim.message
    assert (message.sender, message.type, message.body) == ("devops-agent", "timer", b"escalate")
    assert (message.conversation_id, message.received_at) == ("proj-140", clock.now())


async def test_a_timer_fires_once_even_when_it_is_set_again_for_the_same_moment(store: SqlStore) -> None:
    moment = START + timedelta(seconds=10)
    for expected in (1, 0):
        await store.commit(Commit(set_timers=(after(10),)))
        assert await store.fire_timers(moment) == expected
    assert (await store.counts()).ready == 1


async def test_a_later_timer_of_the_same_name_replaces_the_former(store: SqlStore) -> None:
    await store.commit(Commit(set_timers=(after(10),)))
    await store.commit(Commit(set_timers=(after(20),)))
    assert await store.fire_timers(START + timedelta(seconds=19)) == 0
    assert await store.fire_timers(START + timedelta(seconds=20)) == 1


async def test_a_cancelled_timer_does_not_fire_and_may_be_set_anew_at_once(store: SqlStore) -> None:
    await store.commit(Commit(set_timers=(after(10), after(10, name="expire"))))
    cancelled = (("proj-140", "escalate"), ("proj-140", "expire"), ("proj-140", "unknown"))
    await store.commit(Commit(cancel_timers=cancelled, set_timers=(after(30, name="expire"),)))
    assert await store.fire_timers(START + timedelta(seconds=29)) == 0
    assert await store.next_due() == START + timedelta(seconds=30)


async def test_one_that_has_fired_and_is_replaced_or_cancelled_is_not_delivered_any_more(store: SqlStore) -> None:
    await store.receive(incoming("answer", conversation="proj-140"))
    answer = await claim_one(store)
    await store.commit(Commit(set_timers=(after(10), after(10, name="expire"))))
    assert await store.fire_timers(START + timedelta(seconds=10)) == 2
    await store.finish(answer, Commit(cancel_timers=(("proj-140", "expire"),), set_timers=(after(3600),)))
    assert await store.claim(limit=9, lease=30.0) == ()
    assert await store.next_due() == START + timedelta(hours=1)


async def test_timers_fire_in_the_order_of_their_moments(store: SqlStore) -> None:
    await store.commit(Commit(set_timers=(after(20, name="a"), after(10, name="b"))))
    assert await store.fire_timers(START + timedelta(hours=1)) == 2
    (first,) = await store.claim(limit=1, lease=30.0)
    assert first.message.body == b"b"
