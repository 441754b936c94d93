"""A gate opens for what was asked, once, and stays as it was decided."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.bus.errors import StoreConflictError
from interlock.bus.store.records import ApprovalState, Commit
from interlock.bus.store.sql import SqlStore
from store_rows import approval

TERMINAL = (ApprovalState.USED, ApprovalState.DENIED, ApprovalState.VOID)


async def save(store: SqlStore, *states: ApprovalState) -> None:
    for state in states:
        await store.commit(Commit(approvals=(approval(state=state),)))


async def test_an_approval_is_read_back_as_it_was_written(store: SqlStore) -> None:
    assert await store.approval("a1") is None
    await save(store, ApprovalState.OPEN, ApprovalState.GRANTED)
    assert await store.approval("a1") == approval(state=ApprovalState.GRANTED)


async def test_a_granted_approval_is_used_once(store: SqlStore) -> None:
    await save(store, ApprovalState.OPEN, ApprovalState.GRANTED, ApprovalState.USED)
    with pytest.raises(StoreConflictError, match="approval a1 is used, it cannot become used"):
        await save(store, ApprovalState.USED)


async def test_an_approval_that_nobody_granted_cannot_be_used(store: SqlStore) -> None:
    await save(store, ApprovalState.OPEN)
    with pytest.raises(StoreConflictError, match="is open, it cannot become used"):
        await save(store, ApprovalState.USED)


@pytest.mark.parametrize("terminal", TERMINAL)
@pytest.mark.parametrize("state", list(ApprovalState))
async def test_a_terminal_state_is_final(store: SqlStore, terminal: ApprovalState, state: ApprovalState) -> None:
    await save(store, ApprovalState.OPEN, ApprovalState.GRANTED, terminal)
    with pytest.raises(StoreConflictError):
        await save(store, state)


async def test_a_grant_does_not_move_to_another_digest(store: SqlStore) -> None:
    await save(store, ApprovalState.OPEN)
    moved = replace(approval(state=ApprovalState.GRANTED), digest="sha256:bb")
    with pytest.raises(StoreConflictError, match="was asked for plan sha256:aa"):
        await store.commit(Commit(approvals=(moved,)))


async def test_one_approval_is_pending_for_a_subject_until_it_is_decided(store: SqlStore) -> None:
    await save(store, ApprovalState.OPEN)
    with pytest.raises(StoreConflictError, match="another one is pending for plan sha256:aa"):
        await store.commit(Commit(approvals=(approval("a2"),)))
    await save(store, ApprovalState.VOID)
    await store.commit(Commit(approvals=(approval("a2"),)))


async def test_approvals_are_listed_by_conversation(store: SqlStore) -> None:
    other = replace(approval("a0"), conversation_id="proj-141")
    await store.commit(Commit(approvals=(approval(), other)))
    assert [row.id for row in await store.approvals()] == ["a0", "a1"]
    assert [row.id for row in await store.approvals(conversation_id="proj-140")] == ["a1"]
