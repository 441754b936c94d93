"""The backend's connection settings as versioned files; they hold the secret's name, never its value."""

from __future__ import annotations

__all__ = ["ConfigurationStore"]

import hashlib
import json
from pathlib import Path

import anyio

from interlock.protocol.messages.handoff import InfrastructureReady


class ConfigurationStore:
    """Writes one file per version, named after its content, and points `<environment>.json` at the current one."""

    def __init__(self, folder: Path) -> None:
        self._folder = anyio.Path(folder)

    def __repr__(self) -> str:
        return f"ConfigurationStore({str(self._folder)!r})"

    async def switch(self, ready: InfrastructureReady, *, pool_size: int) -> str:
        """Make this connection the current one of its environment; return the version. Repeating changes nothing."""
        content = json.dumps(
            {
                "environment": ready.environment,
                "connection": ready.connection.model_dump(mode="json", by_alias=True),
                "configuration": ready.configuration.model_dump(mode="json", by_alias=True),
                "poolSize": pool_size,
            },
            sort_keys=True,
            indent=2,
        )
        version = hashlib.sha256(content.encode()).hexdigest()[:12]
        await self._folder.mkdir(parents=True, exist_ok=True)
        for name in (f"{ready.environment}-{version}.json", f"{ready.environment}.json"):
            draft = self._folder / f".{name}.draft"
            await draft.write_text(content, encoding="utf-8")
            await draft.replace(self._folder / name)
        return version
