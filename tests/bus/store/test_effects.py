"""An effect is done once, or it is known that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.bus.clock import VirtualClock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.records import EffectRow, EffectState
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.errors import UsageError


async def begin(store: SqlStore, *, fence: int = 1, request: str = "r1") -> tuple[EffectRow, bool]:
    return await store.begin_effect("jira:PROJ-140:comment", request_hash=request, fence=fence)


async def settle(store: SqlStore, state: EffectState, result: str | None = None, *, fence: int = 1) -> None:
    await store.settle_effect("jira:PROJ-140:comment", state=state, result=result, fence=fence)


async def test_an_effect_is_new_once(store: SqlStore, clock: VirtualClock) -> None:
    row, new = await begin(store)
    assert (row.state, row.started_at, row.settled_at, new) == (EffectState.STARTED, clock.now(), None, True)
    row, new = await begin(store)
    assert (row.state, new) == (EffectState.STARTED, False)


async def test_what_was_begun_is_listed_by_the_beginning_of_its_key(store: SqlStore, clock: VirtualClock) -> None:
    await store.begin_effect("proj-140:early", request_hash="r", fence=1)
    await clock.advance(1.0)
    since = clock.now()
    for key in ("proj-140:two", "proj-1400:other", "proj-140:%"):
        await store.begin_effect(key, request_hash="r", fence=1)
        await clock.advance(1.0)
    await store.settle_effect("proj-140:two", state=EffectState.DONE, result=None, fence=1)
    listed = await store.effects_begun(prefix="proj-140:", since=since)
    assert [(row.key, row.state) for row in listed] == [
        ("proj-140:two", EffectState.DONE),
        ("proj-140:%", EffectState.STARTED),
    ]


async def test_what_is_done_is_told_to_every_later_attempt(store: SqlStore) -> None:
    await begin(store)
    await settle(store, EffectState.DONE, '{"id": 7}')
    row, new = await begin(store, fence=2)
    assert (row.state, row.result, new) == (EffectState.DONE, '{"id": 7}', False)


async def test_an_effect_that_a_former_attempt_left_started_is_unknown(store: SqlStore) -> None:
    await begin(store, fence=1)
    row, new = await begin(store, fence=2)
    assert (row.state, new) == (EffectState.UNKNOWN, False)
    assert (await begin(store, fence=2))[0].state is EffectState.UNKNOWN


async def test_an_effect_that_a_former_process_left_started_is_unknown(path: Path, clock: VirtualClock) -> None:
    former = await SqliteStore.open(path, agent="devops-agent", clock=clock)
    await begin(former)
    await former.aclose()
    store = await SqliteStore.open(path, agent="devops-agent", clock=clock)
    assert (await begin(store))[0].state is EffectState.UNKNOWN
    await store.aclose()


async def test_a_stale_attempt_is_told_so(store: SqlStore) -> None:
    await begin(store, fence=2)
    with pytest.raises(LeaseLostError, match="1 is stale"):
        await begin(store, fence=1)


async def test_an_attempt_that_was_stalled_neither_forgets_nor_settles_what_a_later_one_has_begun(
    store: SqlStore,
) -> None:
    await begin(store, fence=1)
    await settle(store, EffectState.FAILED, "503", fence=1)
    await store.forget_effect("jira:PROJ-140:comment", fence=3)
    assert (await begin(store, fence=3))[1]
    with pytest.raises(LeaseLostError, match="2 is stale"):
        await store.forget_effect("jira:PROJ-140:comment", fence=2)
    with pytest.raises(LeaseLostError, match="2 is stale"):
        await settle(store, EffectState.FAILED, fence=2)
    await settle(store, EffectState.DONE, fence=3)


async def test_a_key_stands_for_one_request(store: SqlStore) -> None:
    await begin(store)
    with pytest.raises(UsageError, match="known for request r1, not for r2"):
        await begin(store, request="r2")


async def test_unknown_can_be_reconciled_and_then_not_be_changed(store: SqlStore) -> None:
    await begin(store)
    await settle(store, EffectState.UNKNOWN, "timed out")
    await settle(store, EffectState.DONE, "found")
    await settle(store, EffectState.DONE, "found")
    with pytest.raises(UsageError, match="is done already, it cannot become failed"):
        await settle(store, EffectState.FAILED)


async def test_only_what_was_begun_can_be_settled_and_only_by_an_outcome(store: SqlStore) -> None:
    with pytest.raises(UsageError, match="was not begun"):
        await settle(store, EffectState.DONE)
    await begin(store)
    with pytest.raises(UsageError, match="cannot be settled as started"):
        await settle(store, EffectState.STARTED)


async def test_what_did_not_happen_can_be_forgotten_and_what_happened_cannot(store: SqlStore) -> None:
    await store.forget_effect("never begun", fence=1)
    await begin(store)
    await settle(store, EffectState.FAILED, "400")
    await store.forget_effect("jira:PROJ-140:comment", fence=1)
    assert (await begin(store))[1]
    await settle(store, EffectState.DONE)
    with pytest.raises(UsageError, match="cannot be forgotten"):
        await store.forget_effect("jira:PROJ-140:comment", fence=1)
