"""Messages that other installed packages bring: found when asked for, never by importing."""

from __future__ import annotations

__all__ = ["ENTRY_POINT_GROUP", "installed_catalogue"]

from importlib.metadata import entry_points
from types import ModuleType

from interlock.protocol.catalogue import CATALOGUE, Catalogue, declared_in
from interlock.protocol.errors import UsageError

ENTRY_POINT_GROUP = "interlock.messages"
"""Each entry point names a module whose `__all__` lists message classes."""


def installed_catalogue() -> Catalogue:
    """Return Interlock's own catalogue with the messages of every installed package that declares some.

    Raises UsageError, naming the package, when one cannot be imported, or declares what another declares as well.
    """
    catalogue = CATALOGUE
    for point in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name):
        package = point.dist.name if point.dist else point.value
        try:
            module = point.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(f"the messages of {package} cannot be loaded from {point.value}: {error}") from error
        if not isinstance(module, ModuleType) or not hasattr(module, "__all__"):
            raise UsageError(f"{package}: {point.value} must be a module with an __all__ of message classes")
        try:
            catalogue = catalogue.with_messages(*declared_in(module))
        except UsageError as error:
            raise UsageError(f"the messages of {package}: {error}") from error
    return catalogue
