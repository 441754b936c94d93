"""What the team of a demonstration is told: the sandbox's addresses, and nothing that this machine is configured for.

A demonstration approves by itself. So an operator's environment or `interlock.toml`, which name real systems, must not
reach its agents.
"""

from __future__ import annotations

__all__ = ["SandboxSettings", "environment", "login"]

import os
from typing import Any

from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from interlock.agents.settings import BrokerSettings, Settings

_PREFIX = "INTERLOCK_"


class SandboxSettings(Settings):
    """Settings that consist of what is given to `load`, and of defaults."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the overridden signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the overridden signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the overridden signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the overridden signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Neither environment nor file."""
        return (init_settings,)


def environment() -> dict[str, str]:
    """Return the environment of this process without Interlock's own variables."""
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(_PREFIX)}


def login(broker: BrokerSettings) -> dict[str, Any]:
    """Return the section as members for a settings file. Secret."""
    return {
        "user": broker.user,
        "password": broker.password.get_secret_value() if broker.password else None,
        "passwords": {name: password.get_secret_value() for name, password in broker.passwords.items()},
    }
