"""What the direct engine asks of every kind of resource: look, create, bring up to date; it knows no kind."""

from __future__ import annotations

__all__ = ["Observed", "Properties", "Resource", "pairs", "tagged"]

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from interlock.agents.systems.aws.service import Document

Properties = Mapping[str, str]
"""Property names to values as people read them; never a secret value, never empty, nothing that differs by run."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A resource as it really is."""

    id: str
    """The provider's own id or ARN."""
    properties: Properties
    ready: bool = True
    """False while the provider still works on it."""


class Resource(Protocol):
    """One resource that a plan names. Creating or updating it takes effect; looking never does."""

    @property
    def address(self) -> str:
        """As Terraform writes it: type and name, e.g. `aws_db_instance.production`."""
        ...

    @property
    def desired(self) -> Properties:
        """What it shall be."""
        ...

    @property
    def permanent(self) -> frozenset[str]:
        """Properties that cannot be changed once it exists: a difference means replacement."""
        ...

    async def observe(self) -> Observed | None:
        """Look at it; None when it does not exist. Raises PermanentError when somebody else owns it."""
        ...

    async def create(self) -> None:
        """Create it as desired. Safe to repeat after `observe` has returned None."""
        ...

    async def update(self) -> None:
        """Bring what exists to what is desired."""
        ...


def pairs(tags: Properties) -> list[Document]:
    """Return tags as AWS's list of keys and values."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tagged(desired: Properties, found: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return those of the found tags that the desired properties speak about, as `tags.<key>` properties."""
    observed = {f"tags.{tag['Key']}": tag["Value"] for tag in found if tag["Value"]}
    return {name: value for name, value in observed.items() if name in desired}
