"""Messages that other installed packages bring: found when asked for, never by importing.

A package says in its `pyproject.toml` which of its modules list messages; it knows nothing of what is done with them.
"""

from __future__ import annotations

__all__ = ["ENTRY_POINT_GROUP", "OWN", "Discovery", "discover", "installed_catalogue"]

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

from interlock.protocol.catalogue import CATALOGUE, Catalogue, declared_in
from interlock.protocol.errors import UsageError

_log = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "interlock.messages"
"""Each entry point names a module whose `__all__` lists message classes."""

OWN = "interlock"
"""The distribution whose messages need no entry point."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """What was found: the messages of each installed package, and which packages could not be used."""

    packages: Mapping[str, Catalogue]
    """By the name of the distribution; Interlock's own among them."""
    problems: tuple[str, ...]
    """One line for each package that cannot be used, beginning with its name: nothing of it is in the catalogue."""

    @property
    def catalogue(self) -> Catalogue:
        """Everything that can be used."""
        return Catalogue(message for catalogue in self.packages.values() for message in catalogue)

    def whole(self) -> Catalogue:
        """Return the same where nothing may be missing. Raises UsageError, naming each package that is broken."""
        if self.problems:
            raise UsageError("; ".join(self.problems))
        return self.catalogue

    def package(self, name: str) -> Catalogue:
        """Return one package's messages. Raises UsageError when there is none of this name, or it is broken.

        The name is that of the distribution, in any spelling that installers accept.
        """
        for problem in self.problems:
            if _normal(problem.partition(":")[0]) == _normal(name):
                raise UsageError(problem)
        for known, catalogue in self.packages.items():
            if _normal(known) == _normal(name):
                return catalogue
        raise UsageError(
            f"no installed package {name!r} brings messages; these do: {', '.join(self.packages)}. A package does by "
            f"an entry point of the group {ENTRY_POINT_GROUP}"
        )


def discover() -> Discovery:
    """Look through the installed packages, in the order of their names. A broken one costs only its own messages."""
    packages, problems = {OWN: CATALOGUE}, list[str]()
    known = CATALOGUE
    points = ((_owner(point), point) for point in entry_points(group=ENTRY_POINT_GROUP))
    for package, point in sorted(points, key=lambda found: (found[0], found[1].name)):
        try:
            brought = _messages_of(point)
            for message in brought:
                _refuse_taken(message.declaration.type, packages, package)
            known = known.with_messages(*brought)
        except UsageError as error:
            problems.append(f"{package}: {error}")
        else:
            packages[package] = packages.get(package, Catalogue(())).with_messages(*brought)
    return Discovery(packages, tuple(problems))


def installed_catalogue() -> Catalogue:
    """Return Interlock's own catalogue with the messages of every installed package that declares some.

    A broken package is left out and logged as an error: what is at work goes on with everybody else's messages. Where
    it must not be left out, see `discover`.
    """
    found = discover()
    for problem in found.problems:
        _log.error("messages of an installed package cannot be used: %s", problem)
    return found.catalogue


def _messages_of(point: EntryPoint) -> Catalogue:
    try:
        module = point.load()
    except Exception as error:  # a stranger's module may raise anything at import
        raise UsageError(
            f"its messages cannot be loaded from {point.value}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(module, ModuleType) or not hasattr(module, "__all__"):
        raise UsageError(f"{point.value} must be a module with an __all__ of message classes")
    try:
        return Catalogue(declared_in(module))
    except AttributeError as error:
        raise UsageError(f"{point.value} lists in its __all__ what it has not: {error}") from error


def _refuse_taken(name: str, packages: Mapping[str, Catalogue], package: str) -> None:
    """A type belongs to the package that declares it, in all its versions."""
    for owner, catalogue in packages.items():
        if owner != package and any(message.declaration.type == name for message in catalogue):
            raise UsageError(f"its message type {name} is {owner}'s already; name it e.g. {_own(package, name)}")


def _own(package: str, name: str) -> str:
    return f"{re.sub(r'[^a-z0-9]+', '_', package.lower())}_{name}"


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _normal(name: str) -> str:
    """PyPI's rule for names that are the same: case, and runs of hyphen, dot and underscore, do not count."""
    return re.sub(r"[-_.]+", "-", name).lower()
