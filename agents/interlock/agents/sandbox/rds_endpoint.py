"""Gives moto's RDS instances a real database behind their endpoint; the only module that reaches into moto's classes.

moto 5 makes an instance available at once and reports an address that nobody answers. Three attributes are replaced
while the context is open, and put back after it: `RDSBackend.create_db_instance`, `RDSBackend.describe_db_instances`
and `DBInstance.address`.
"""

from __future__ import annotations

__all__ = ["DatabaseBackend", "emulated_databases"]

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Protocol, cast

from moto.rds.models import DBInstance, RDSBackend

from interlock.agents.sandbox.journal import Listener, unheard


class DatabaseBackend(Protocol):
    """Runs the database that stands behind an emulated instance."""

    def provision(self, identifier: str, *, engine: str, database: str, user: str, password: str) -> tuple[str, int]:
        """Return host and port of a server with this database and user, starting it where necessary.

        Called in a thread of the emulator while `CreateDBInstance` is answered; repeated calls with the same
        identifier return the same server.
        """
        ...


@contextmanager
def emulated_databases(
    backend: DatabaseBackend | None, *, describes_until_available: int = 0, journal: Listener = unheard
) -> Generator[None, None, None]:
    """Let new instances report the backend's host and port, and be `creating` for a number of describe calls.

    `journal` hears of each one that is asked for, also when moto refuses it.
    """
    create = cast("Callable[..., Any]", RDSBackend.create_db_instance)
    describe = cast("Callable[..., Any]", RDSBackend.describe_db_instances)
    address = cast("property", DBInstance.__dict__["address"])
    hosts: dict[int, str] = {}
    looks: Counter[str] = Counter()

    def create_with_server(self: RDSBackend, db_kwargs: dict[str, Any]) -> Any:
        journal("CreateDBInstance", db_kwargs["db_instance_identifier"], db_kwargs["engine"])
        instance = create(self, db_kwargs)
        if backend is not None:
            host, instance.port = backend.provision(
                instance.db_instance_identifier,
                engine=instance.engine,
                database=instance.db_name,
                user=instance.master_username,
                password=db_kwargs["master_user_password"],
            )
            hosts[id(instance)] = host
        if describes_until_available:
            instance.status = "creating"
            looks[instance.db_instance_identifier] = describes_until_available
        return instance

    def describe_in_time(self: RDSBackend, db_instance_identifier: str | None = None, filters: Any = None) -> Any:
        instances = describe(self, db_instance_identifier, filters)
        for instance in instances:
            identifier = instance.db_instance_identifier
            if looks[identifier] > 0:
                looks[identifier] -= 1
            elif identifier in looks and instance.status == "creating":
                instance.status = "available"
        return instances

    def address_of_server(self: DBInstance) -> str:
        return hosts.get(id(self)) or cast("str", address.fget(self) if address.fget else "")

    patched: tuple[tuple[type, str, object, object], ...] = (
        (RDSBackend, "create_db_instance", create, create_with_server),
        (RDSBackend, "describe_db_instances", describe, describe_in_time),
        (DBInstance, "address", address, property(address_of_server)),
    )
    for owner, name, _, replacement in patched:
        setattr(owner, name, replacement)
    try:
        yield
    finally:
        for owner, name, original, _ in patched:
            setattr(owner, name, original)
