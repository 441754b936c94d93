"""The trail shows where somebody has touched it."""

from __future__ import annotations

from dataclasses import replace

import anyio.to_thread
import pytest

from bus.store.harness import StoreHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.store.audit import GENESIS, verify_chain
from interlock.bus.store.records import AuditEntry, AuditRow, Commit
from interlock.bus.store.sql import SqlStore


@pytest.fixture
async def trail(store: SqlStore, clock: VirtualClock) -> tuple[AuditRow, ...]:
    for number, conversation in enumerate(("proj-140", "proj-141", "proj-140"), start=1):
        entry = AuditEntry(conversation, "devops-agent", "plan_applied", {"nr": str(number), "티켓": "é"})
        await store.commit(Commit(audit=(entry,)))
        await clock.advance(0.000001)
    return await store.audit()


async def test_every_line_follows_from_the_one_before(trail: tuple[AuditRow, ...]) -> None:
    assert [row.number for row in trail] == [1, 2, 3]
    assert trail[0].previous_hash == GENESIS
    assert trail[1].previous_hash == trail[0].hash
    assert verify_chain(trail) is None
    assert verify_chain(()) is None


async def test_a_changed_line_is_found(trail: tuple[AuditRow, ...]) -> None:
    changed = replace(trail[1], entry=replace(trail[1].entry, actor="kim"))
    assert verify_chain((trail[0], changed, trail[2])) == 2
    later = replace(trail[2], at=trail[0].at)
    assert verify_chain((*trail[:2], later)) == 3


async def test_a_missing_line_is_found_at_the_one_that_followed(trail: tuple[AuditRow, ...]) -> None:
    assert verify_chain((trail[0], trail[2])) == 3
    assert verify_chain(trail[1:]) == 2


async def test_a_conversation_has_its_own_view(store: SqlStore, trail: tuple[AuditRow, ...]) -> None:
    assert await store.audit(conversation_id="proj-140") == (trail[0], trail[2])


@pytest.mark.parametrize("statement", ["DELETE FROM audit", "UPDATE audit SET actor = 'kim'"])
async def test_the_database_itself_refuses_to_rewrite_the_trail(
    store: SqlStore, trail: tuple[AuditRow, ...], harness: StoreHarness, statement: str
) -> None:
    await store.aclose()
    with pytest.raises(Exception, match="only appended to"):
        await anyio.to_thread.run_sync(harness.query, statement)
