"""The statements that make an empty database a store, as Alembic wrote them for this release; it runs none of them.

They stand in a file beside this module, so that an agent's first start does without Alembic: 220 ms of CPU time and
23 MiB. `python -m interlock.bus.store.schema.first` writes the file anew after a revision was added.
"""

from __future__ import annotations

__all__ = ["FILE", "document", "written_statements"]

import json
from collections.abc import Sequence
from pathlib import Path

from interlock.bus.store.schema.revisions import Revision, known_revisions

FILE = Path(__file__).parent / "first.json"


def written_statements(dialect: str, known: Sequence[Revision]) -> tuple[str, ...] | None:
    """Return what the file has for a dialect; None when it was written for other revisions than these."""
    written = json.loads(FILE.read_text(encoding="utf-8"))
    if written["revisions"] != _checksums(known):
        return None
    return tuple(written["statements"][dialect])


def document() -> str:
    """Return what the file should hold."""
    from interlock.bus.store.schema.rendering import render  # only who writes the file pays for Alembic

    known = known_revisions()
    statements = {dialect: render(known, dialect=dialect, before=None) for dialect in ("sqlite", "postgresql")}
    return json.dumps({"revisions": _checksums(known), "statements": statements}, indent=1) + "\n"


def _checksums(known: Sequence[Revision]) -> dict[str, str]:
    return {revision.id: revision.checksum for revision in known}


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
