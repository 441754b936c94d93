"""Released messages as files: which releases a folder keeps, and what one of them, an export or the code promises."""

from __future__ import annotations

__all__ = ["CODE", "RELEASED", "contracts_in", "freeze", "recordings", "released"]

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from interlock.protocol.catalogue import Catalogue
from interlock.protocol.contract import Contract, Contracts
from interlock.protocol.errors import UsageError

RELEASED = "released"
"""The folder beside the exported schemas that has one file per release, `<release>.jsonl`."""

CODE = "code"
"""The name of what is not released yet."""

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")


def released(schemas: Path) -> tuple[Contracts, ...]:
    """Return the releases that are kept beside a folder of schemas, oldest first. Raises UsageError for a broken one.

    A release whose file was taken away is no longer supported: nothing has to be compatible with it.
    """
    files = sorted((schemas / RELEASED).glob("*.jsonl"), key=lambda file: _natural(file.stem))
    return tuple(Contracts.parse(file.stem, file.read_bytes()) for file in files)


def freeze(schemas: Path, name: str, catalogue: Catalogue) -> Path:
    """Keep what the code promises now as a release, and return its file; it is never changed again.

    Raises UsageError when the name is no name of a release, or is taken, or the file cannot be written.
    """
    if not _NAME.fullmatch(name) or name == CODE:
        raise UsageError(f"{name!r} is no name of a release, like 0.2.0")
    file = schemas / RELEASED / f"{name}.jsonl"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the folder {file.parent} cannot be made: {error.strerror}") from error
    try:
        with file.open("xb") as stream:
            stream.write(Contracts.of_catalogue(catalogue, name=name).lines())
    except FileExistsError:
        raise UsageError(f"{file} is there already: a release never changes, give this one another name") from None
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}") from error
    return file


def contracts_in(name: str, *, schemas: Path, catalogue: Catalogue) -> Contracts:
    """Return what a release promises by its name or file, an exported folder by its path, or the code by `code`.

    Raises UsageError when there is none of them.
    """
    if name == CODE:
        return Contracts.of_catalogue(catalogue)
    path, kept = Path(name), schemas / RELEASED / f"{name}.jsonl"
    if kept.is_file():
        return Contracts.parse(name, kept.read_bytes())
    if path.is_file():
        return Contracts.parse(path.stem, path.read_bytes())
    if (path / "index.json").is_file():
        return Contracts(name, _exported(path))
    known = ", ".join((*(release.name for release in released(schemas)), CODE))
    raise UsageError(f"{name!r} is no release, no folder of exported schemas and no file; known here: {known}")


def recordings(places: Iterable[Path]) -> Iterator[Path]:
    """Yield the recordings in these files and folders. Raises UsageError for a place that is not there."""
    for place in places:
        if place.is_dir():
            yield from sorted(place.rglob("*.jsonl"))
        elif place.is_file():
            yield place
        else:
            raise UsageError(f"{place} is neither a recording nor a folder of them")


def _exported(folder: Path) -> Iterator[Contract]:
    try:
        for entry in json.loads((folder / "index.json").read_bytes())["messages"]:
            yield Contract.of(entry, json.loads((folder / entry["schema"]).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"the schemas in {folder} are not complete ({type(error).__name__}): export them") from error


def _natural(name: str) -> list[tuple[int, str]]:
    """Order 0.10.0 after 0.9.0."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
