"""What a process is told from outside: broker, credentials, addresses of systems; it opens nothing.

In order: flags, the environment (`INTERLOCK_AWS__REGION`), then `interlock.toml` in the working directory or the file
that `--config` or `INTERLOCK_CONFIG` names, then the files in `secrets_dir`. Secrets are `SecretStr`: they appear in no
repr, error or log.
"""

from __future__ import annotations

__all__ = ["BrokerSettings", "QueueSettings", "Settings", "TopologySettings"]

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from interlock.agents.runtime import RuntimeSettings
from interlock.agents.secret_files import read_secret_files
from interlock.agents.system_settings import (
    AlertSettings,
    AwsSettings,
    BackendSettings,
    ChatSettings,
    DeploymentSettings,
    JiraSettings,
    KubernetesSettings,
    ProvisioningSettings,
    QaSettings,
)
from interlock.agents.telemetry.settings import HealthSettings, LoggingSettings, TelemetrySettings
from interlock.protocol.errors import UsageError
from interlock.protocol.values import AgentName

_DEFAULT_FILE = Path("interlock.toml")
_PREFIX = "INTERLOCK_"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BrokerSettings(_Section):
    """Who logs in at the broker, where the URL itself does not say."""

    user: str | None = None
    """Default: the agent's own name, which the broker checks on every message."""
    password: SecretStr | None = None
    passwords: dict[AgentName, SecretStr] = Field(default_factory=dict[AgentName, SecretStr])
    """By agent, for a process that runs several; goes before `user` and `password`."""
    client: Literal["tap", "aiormq"] = "tap"
    """Who moves the messages: the fast path under aio-pika, or aio-pika alone, several times slower."""
    management_url: SecretStr | None = None
    """Of RabbitMQ's management API, e.g. `https://host:15671`, with or without a login; only operators need it."""
    management_token: SecretStr | None = None
    """A bearer token for it, where logins are OAuth 2.0's."""
    management_ca_file: Path | None = None
    """PEM file of the authority that it is trusted by; None: the system's."""


class QueueSettings(_Section):
    """The limits of one agent's queue, where they are not everybody's."""

    delivery_limit: Annotated[int, Field(ge=1)] | None = None
    max_length: Annotated[int, Field(ge=1)] | None = None
    announcements: tuple[str, ...] = ()
    """Types sent to `all` that it gets, for an agent that may not bind its queue itself."""


class TopologySettings(_Section):
    """What `interlock topology` declares; a queue that exists keeps its limits until it is replaced."""

    delivery_limit: Annotated[int, Field(ge=1)] = 5
    """How often a message may return to its queue before it is parked."""
    max_length: Annotated[int, Field(ge=1)] = 1_000_000
    """Messages of one queue; past it publishes are refused."""
    agents: dict[AgentName, QueueSettings] = Field(default_factory=dict[AgentName, QueueSettings])
    """By agent: limits of its own, and agents that no catalogue names."""
    journal_max_age: Annotated[float, Field(ge=1)] = 604_800.0
    """Seconds for which the journal keeps copies."""
    journal_max_bytes: Annotated[int, Field(ge=1_000_000)] = 1_000_000_000


def _separated(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        return json.loads(value)
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _known(section: object) -> object:
    """Refuse members that `RuntimeSettings` lacks: pydantic passes over them in a dataclass."""
    if isinstance(section, Mapping):
        unknown = {str(name) for name in section} - {field.name for field in fields(RuntimeSettings)}
        if unknown:
            raise ValueError(f"there is no such setting: {', '.join(sorted(unknown))}")
    return section


def _address(url: SecretStr) -> SecretStr:
    """Refuse what is no broker's address, without repeating it."""
    try:
        parts = urlsplit(url.get_secret_value())
        usable = parts.scheme == "memory" or (parts.scheme in {"amqp", "amqps"} and parts.hostname and parts.port != 0)
    except ValueError:  # brackets that are no IPv6 address, or a port that is no number
        usable = False
    if not usable:
        raise ValueError("an address like amqp://host:5672/interlock is required")
    return url


def _database(url: SecretStr) -> SecretStr:
    """Refuse what is no database's address, without repeating it."""
    try:
        parts = urlsplit(url.get_secret_value())
        usable = parts.scheme in {"postgresql", "postgres"} and len(parts.path) > 1
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("an address like postgresql://user:password@host:5432/database is required")
    return url


class Settings(BaseSettings):
    """Everything that is configured. Build it with `Settings.load()`, which turns every mistake into a UsageError."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    config: Path | None = None
    """The file that the rest is read from; None: `interlock.toml`, where there is one."""
    secrets_dir: Path | None = None
    """A folder with a file for each secret, named like the setting (`jira.token`), as secrets are mounted."""
    broker_url: Annotated[
        tuple[Annotated[SecretStr, AfterValidator(_address)], ...], NoDecode, BeforeValidator(_separated)
    ] = ()
    """One AMQP URL, several separated by commas, or a (JSON) list: the nodes of one cluster, tried in turn.

    `{agent}` stands for the agent's name.
    """
    state_dir: Path = Path(".interlock")
    """Where agents keep their stores, and what else they keep."""
    store_url: Annotated[SecretStr, AfterValidator(_database)] | None = None
    """Where replicas share their stores: `postgresql://user:password@host/database`; `{agent}` stands for the name."""
    broker: BrokerSettings = BrokerSettings()
    topology: TopologySettings = TopologySettings()
    jira: JiraSettings = JiraSettings()
    aws: AwsSettings = AwsSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    chat: ChatSettings = ChatSettings()
    deployment: DeploymentSettings = DeploymentSettings()
    alerts: AlertSettings = AlertSettings()
    backend: BackendSettings = BackendSettings()
    qa: QaSettings = QaSettings()
    provisioning: ProvisioningSettings = ProvisioningSettings()
    runtime: Annotated[RuntimeSettings, BeforeValidator(_known)] = RuntimeSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    health: HealthSettings = HealthSettings()
    logging: LoggingSettings = LoggingSettings()

    @classmethod
    def load(cls, flags: Mapping[str, object] | None = None) -> Settings:
        """Read all sources; `flags` has members like the file, and goes before it and the environment.

        Raises UsageError that names the source and the key, never the value, of the first thing that is wrong.
        """
        given: dict[str, Any] = dict(flags or {})
        try:
            return cls(**given)
        except ValidationError as error:
            raise UsageError(_first_problem(error, given)) from None  # the cause would carry the values
        except SettingsError as error:
            raise UsageError(f"environment: {error}; sections and mappings are given as JSON there") from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the overridden signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the overridden signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, environment, file, files of secrets."""
        return init_settings, env_settings, _TomlFile(settings_cls), _SecretFiles(settings_cls)

    def broker_urls(self, identity: str) -> tuple[str, ...]:
        """Return the broker's addresses with this agent's credentials in them. Secret.

        Raises UsageError when no broker is set.
        """
        if not self.broker_url:
            raise UsageError(
                "no broker is set: give INTERLOCK_BROKER_URL, or broker_url in interlock.toml, "
                "e.g. amqp://host:5672/interlock"
            )
        user, password = self.broker.user or identity, self.broker.password
        if own := self.broker.passwords.get(identity):
            user, password = identity, own
        urls = (url.get_secret_value().replace("{agent}", identity) for url in self.broker_url)
        return tuple(url if password is None else _with_login(url, user, password) for url in urls)

    def administrator_urls(self, administrator: str) -> tuple[str, ...]:
        """Return the broker's addresses with the login of who declares the topology. Secret.

        That is the administrator with the password among `broker.passwords`, else who logs in at the management API,
        else as for any other name. Raises UsageError when no broker is set.
        """
        api = urlsplit(self.broker.management_url.get_secret_value()) if self.broker.management_url else None
        if administrator in self.broker.passwords or api is None or api.username is None or not self.broker_url:
            return self.broker_urls(administrator)
        user, password = unquote(api.username), SecretStr(unquote(api.password or ""))
        urls = (url.get_secret_value().replace("{agent}", administrator) for url in self.broker_url)
        return tuple(_with_login(url, user, password) for url in urls)

    def store_path(self, agent: str) -> Path:
        """Return the file in which an agent keeps its state, unless `store_url` is set."""
        return self.state_dir / f"{agent}.sqlite"

    def store_address(self, agent: str) -> str:
        """Return where an agent keeps its state, as `open_store` takes it. Secret when it is a URL."""
        return str(self.store_path(agent)) if self.store_url is None else self.store_url.get_secret_value()


class _TomlFile(PydanticBaseSettingsSource):
    """The file that flags or environment name, else the default one where it exists."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the file is read as a whole."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        named = self.current_state.get("config")
        if named is None and not _DEFAULT_FILE.is_file():
            return {}
        path = Path(named or _DEFAULT_FILE)
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"the settings file {path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"the settings file {path} is not TOML: {_place(error)}") from None  # it quotes the line


class _SecretFiles(PydanticBaseSettingsSource):
    """The folder that a source before this one names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Unused: the folder is read as a whole."""
        raise NotImplementedError

    def __call__(self) -> dict[str, Any]:
        folder = self.current_state.get("secrets_dir")
        return read_secret_files(Path(folder)) if folder else {}


def _place(error: ValueError) -> str:
    text = str(error)
    return text[text.rfind("(at ") + 1 : -1] if "(at " in text else "not UTF-8"


def _with_login(url: str, user: str, password: SecretStr) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    login = f"{quote(user, safe='')}:{quote(password.get_secret_value(), safe='')}"
    return parts._replace(netloc=f"{login}@{host}").geturl()


def _first_problem(error: ValidationError, flags: Mapping[str, object]) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    keys = tuple(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        reason = "there is no such setting"
    return f"{_origin(keys, flags)}: {'.'.join(keys)}: {reason}"


def _origin(keys: tuple[str, ...], flags: Mapping[str, object]) -> str:
    """Return where the value came from: the first source that has it."""
    if keys[0] in flags:
        return "flag"
    environment = {name.upper() for name in os.environ}
    for length in range(len(keys), 0, -1):
        name = _PREFIX + "__".join(keys[:length]).upper()
        if name in environment:
            return name
    if folder := flags.get("secrets_dir") or os.environ.get(f"{_PREFIX}SECRETS_DIR"):
        for length in range(len(keys), 0, -1):
            if (file := Path(str(folder)) / ".".join(keys[:length])).is_file():
                return str(file)
    config = flags.get("config") or os.environ.get(f"{_PREFIX}CONFIG") or _DEFAULT_FILE
    return str(config)
