"""The catalogue as files: a JSON Schema for each message, an index, and an AsyncAPI document; it knows no broker.

`interlock schemas export` writes them, `interlock schemas check` tells whether they are up to date. A schema accepts
what a receiver accepts: unknown members are allowed, since receivers drop them.
"""

from __future__ import annotations

__all__ = ["INDEX", "Difference", "check", "export"]

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from interlock.protocol.asyncapi import FILE, asyncapi
from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.discovery import OWN
from interlock.protocol.errors import UsageError
from interlock.protocol.schemas import file_name, index_entry, schema_of

INDEX = "index.json"
"""What is said about each message beside its schema."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not as the code says."""

    file: str
    problem: Literal["missing", "outdated", "unexpected"]

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


def export(catalogue: Catalogue = CATALOGUE, *, package: str = OWN) -> Mapping[str, bytes]:
    """Return each file by its name: one `<type>.v<version>.json` per message, `index.json` and `asyncapi.json`.

    `package` is the installed package that the document is called by, with its version. The same catalogue gives the
    same bytes. Raises UsageError for a message that has no example, or is of no kind.
    """
    files = {file_name(message): _formatted(schema_of(message)) for message in catalogue}
    files[INDEX] = _formatted({"messages": [index_entry(message) for message in catalogue]})
    files[FILE] = _formatted(asyncapi(catalogue, title=package, version=version(package)))
    return files


def check(folder: Path, catalogue: Catalogue = CATALOGUE, *, package: str = OWN) -> tuple[Difference, ...]:
    """Return what differs between the folder's JSON files and the catalogue, sorted by file name.

    Raises UsageError when there is no such folder, and what `export` raises.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name the one that holds the exported schemas")
    return tuple(
        sorted(_differences(folder, export(catalogue, package=package)), key=lambda difference: difference.file)
    )


def _differences(folder: Path, expected: Mapping[str, bytes]) -> Iterator[Difference]:
    present = {path.name: path for path in folder.glob("*.json")}
    for name, content in expected.items():
        if name not in present:
            yield Difference(name, "missing")
        elif present[name].read_bytes() != content:
            yield Difference(name, "outdated")
    for name in present.keys() - expected.keys():
        yield Difference(name, "unexpected")


def _formatted(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
