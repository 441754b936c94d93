"""Turns revisions into the statements of a dialect, by Alembic's offline mode; it has no database.

Both stores' drivers run those statements: so Alembic needs no driver of its own, and what a dry run shows is what is
run. Import it only where something is to be migrated: it brings Alembic and SQLAlchemy with it.
"""

from __future__ import annotations

__all__ = ["render"]

import functools
import io
import threading
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from interlock.bus.store.schema.revisions import VERSIONS, Revision

_ALEMBIC = threading.Lock()
"""Alembic keeps what `op` stands for in a global of its own: one thread at a time may render."""


class _Statements(io.StringIO):
    """Keeps apart what Alembic writes at once: a statement may contain semicolons."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: list[str] = []

    def write(self, text: str, /) -> int:
        statement = text.strip().removesuffix(";").strip()
        if statement and not statement.startswith("--"):
            self.statements.append(statement)
        return len(text)


@functools.cache
def render(revisions: tuple[Revision, ...], *, dialect: str, before: str | None) -> tuple[str, ...]:
    """Return the statements that take a store through these steps, in order.

    `dialect` is `sqlite` or `postgresql`; `before` is the id of the step that it is at, None for an empty database.
    """
    if not revisions:
        return ()
    script = ScriptDirectory(VERSIONS.parent, version_locations=[str(VERSIONS)])
    last = revisions[-1].id

    def upgrade(revision: Any, _context: MigrationContext) -> Any:
        # What alembic's own `upgrade` calls here; there is no public name for it.
        return script._upgrade_revs(last, revision)  # pyright: ignore[reportPrivateUsage]

    written = _Statements()
    environment = EnvironmentContext(
        Config(), script, fn=upgrade, as_sql=True, starting_rev=before, destination_rev=last, dont_mutate=True
    )
    with _ALEMBIC, environment:
        environment.configure(dialect_name=dialect, output_buffer=written, transactional_ddl=False)
        environment.run_migrations()
    return tuple(written.statements)
