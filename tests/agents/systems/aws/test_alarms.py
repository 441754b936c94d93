"""Thresholds follow from the database's own size: each can be reached, and none rings from the start."""

from __future__ import annotations

import pytest

from interlock.agents.systems.aws.alarms import alarms_for, max_connections
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec


@pytest.mark.parametrize(
    ("engine", "instance_class", "connections"),
    [
        (DatabaseEngine.POSTGRES, "db.t3.micro", 101),
        (DatabaseEngine.POSTGRES, "db.t3.medium", 405),
        (DatabaseEngine.POSTGRES, "db.r6g.2xlarge", 5000),
        (DatabaseEngine.MYSQL, "db.t3.medium", 307),
        (DatabaseEngine.MARIADB, "db.m5.large", 614),
    ],
)
def test_the_connection_limit_follows_from_the_memory(
    spec: DatabaseSpec, engine: DatabaseEngine, instance_class: str, connections: int
) -> None:
    assert max_connections(spec.model_copy(update={"engine": engine, "instance_class": instance_class})) == connections


def test_the_connection_alarm_lies_below_the_limit(spec: DatabaseSpec) -> None:
    connections = alarms_for(spec)[2]

    assert connections.threshold == 364
    assert connections.threshold < max_connections(spec)


@pytest.mark.parametrize(("storage_gb", "threshold"), [(100, 10 * 1024**3), (21, 10 * 1024**3), (20, 2 * 1024**3)])
def test_the_storage_alarm_counts_bytes_and_leaves_room_on_small_volumes(
    spec: DatabaseSpec, storage_gb: int, threshold: int
) -> None:
    storage = alarms_for(spec.model_copy(update={"storage_gb": storage_gb}))[1]

    assert storage.threshold == threshold


def test_a_class_of_unknown_memory_is_refused(spec: DatabaseSpec) -> None:
    with pytest.raises(PermanentError, match=r"db\.x2g\.large"):
        max_connections(spec.model_copy(update={"instance_class": "db.x2g.large"}))
