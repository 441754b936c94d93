"""Which steps this release knows, and whether a store has them; it reads files, and needs no Alembic for it."""

from __future__ import annotations

__all__ = ["Revision", "Steps", "known_revisions", "missing"]

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from interlock.protocol.errors import UsageError

VERSIONS = Path(__file__).parent / "versions"

Steps: TypeAlias = Mapping[int, str]
"""The steps that a store was made with: checksum by number."""

_FILE = re.compile(r"v(\d{4})_(\w+)\.py")

_BEFORE_ALEMBIC: Steps = {
    1: "9a1dc871070dbf3f63af39c27bcd54f1f7445960614718e095db69b117327951",
    2: "73af7bfdd3bbbdd29bb5bf87cfe2c0de7afa5bcb08e6ca7e1344460ea525989a",
    3: "4733d4c5428936a3f775149f28f8e373dff2a223f4110d40e27eece3435c9bf5",
    4: "665f55904acd5311d47676a6a3fe8fe0dba91a95df2589b7ae7a070fc62e1823",
    5: "9759731c088c558a388c3f1ea3231b507be3ba04f600c22f23a2f438e4fb0916",
    6: "930f7438eb3191705bbdf810dd15ddd1271f34be2fb0ac19a93a5f461f076d5e",
    7: "16d05f6358e8630478ad55624492d7c20f2a40cf489952e8f36263857af3966d",
}
"""The steps by which SQLite files were made before Alembic: 6 and 7 led to what the revisions of that number make."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One step of the schema."""

    number: int
    """Grows with every step; the first that Alembic makes is 6."""
    name: str
    checksum: str
    """SHA-256 of its file, in hexadecimal."""

    @property
    def id(self) -> str:
        """Alembic's name for it."""
        return f"{self.number:04}"


def known_revisions(folder: Path = VERSIONS) -> tuple[Revision, ...]:
    """Return the steps of this release, in order."""
    found = [(match, file) for file in sorted(folder.iterdir()) if (match := _FILE.fullmatch(file.name))]
    return tuple(
        Revision(int(match[1]), match[2].replace("_", " "), hashlib.sha256(file.read_bytes()).hexdigest())
        for match, file in found
    )


def missing(applied: Steps, known: Sequence[Revision]) -> tuple[Revision, ...]:
    """Return the steps that a store lacks.

    Raises UsageError when it was written by a later release, when a step is no longer the one that was applied, and
    for a file from before the first release.
    """
    newest, oldest = known[-1].number, known[0].number
    if max(applied, default=0) > newest:
        raise UsageError(
            f"the store has schema {max(applied)}, this release knows {newest}: "
            "run the release that wrote it, or a later one"
        )
    if applied and max(applied) < oldest:
        raise UsageError(
            f"the store has schema {max(applied)}, the oldest that this release takes over is {oldest}: "
            "open it with release 0.1 first"
        )
    for revision in known:
        checksum = applied.get(revision.number)
        if checksum not in {None, revision.checksum, _BEFORE_ALEMBIC.get(revision.number)}:
            raise UsageError(
                f"migration {revision.number} ({revision.name}) is not the one that this store was made with: "
                "released migrations are never edited, add a new one"
            )
    return tuple(revision for revision in known if revision.number not in applied)
