"""How many operations per second a database's storage is provisioned with; it knows no price and no provider call."""

from __future__ import annotations

__all__ = ["provisioned_iops"]

from interlock.protocol.infrastructure import DatabaseSpec, StorageType


def provisioned_iops(spec: DatabaseSpec) -> int | None:
    """Return the least that Amazon RDS accepts for io1 and io2, None for types that are sold without.

    At least 1,000, and at least one per two GB (Amazon RDS User Guide, "Provisioned IOPS SSD storage").
    """
    if spec.storage_type in {StorageType.IO1, StorageType.IO2}:
        return max(1_000, -(-spec.storage_gb // 2))
    return None
