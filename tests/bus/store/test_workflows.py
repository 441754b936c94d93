"""A workflow's state moves one version at a time, whoever writes it."""

from __future__ import annotations

import pytest

from interlock.bus.errors import StoreConflictError
from interlock.bus.store.records import Commit
from interlock.bus.store.sql import SqlStore
from store_rows import workflow


async def test_a_state_is_read_back_as_it_was_written(store: SqlStore) -> None:
    assert await store.workflow("proj-140") is None
    for version in (1, 2):
        await store.commit(Commit(workflow=workflow(version)))
    assert await store.workflow("proj-140") == workflow(2)


@pytest.mark.parametrize("version", [1, 2, 4])
async def test_only_the_next_version_is_written(store: SqlStore, version: int) -> None:
    await store.commit(Commit(workflow=workflow(1)))
    await store.commit(Commit(workflow=workflow(2)))
    with pytest.raises(StoreConflictError, match=f"cannot become version {version}, version 2 is stored"):
        await store.commit(Commit(workflow=workflow(version)))


async def test_the_first_version_is_1(store: SqlStore) -> None:
    with pytest.raises(StoreConflictError, match="it is not stored"):
        await store.commit(Commit(workflow=workflow(2)))


async def test_workflows_are_listed_by_their_last_change_and_counted_while_open(store: SqlStore) -> None:
    await store.commit(Commit(workflow=workflow(1, id="ended", ended=True)))
    await store.commit(Commit(workflow=workflow(1, id="newer")))
    await store.commit(Commit(workflow=workflow(2, id="newer", status="in_review")))
    assert [row.id for row in await store.workflows()] == ["newer", "ended"]
    assert (await store.counts()).conversations == {"in_review": 1}
