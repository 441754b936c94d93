"""The files and the environment of a RabbitMQ node that lives under one directory; it starts nothing."""

from __future__ import annotations

__all__ = ["SEARCH_PATH", "Membership", "PrivateNode", "ServerTls"]

import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from interlock.bus.private_process import free_port

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where the node's own scripts look for programs."""


@dataclass(frozen=True, slots=True)
class Membership:
    """What the nodes of one cluster have in common, and who they are."""

    names: tuple[str, ...]
    epmd_port: int = field(default_factory=free_port)
    cookie: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)
    """Whoever knows it may command the nodes: secret."""

    @classmethod
    def of(cls, count: int) -> Membership:
        """Return that of this many nodes, with names that nobody else has."""
        cluster = secrets.token_hex(3)
        return cls(tuple(f"interlock-{cluster}-{number}@localhost" for number in range(1, count + 1)))

    def configuration(self) -> str:
        """Return how the nodes find each other (rabbitmq.com/docs/cluster-formation); nothing for one alone."""
        if len(self.names) == 1:
            return ""
        lines = ["cluster_formation.peer_discovery_backend = classic_config"]
        lines += [f"cluster_formation.classic_config.nodes.{n} = {name}" for n, name in enumerate(self.names, start=1)]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a node proves itself with, and by whom its clients' certificates must be issued; all three are PEM files."""

    certificate: Path
    key: Path
    authority: Path


class PrivateNode:
    """A name, ports on 127.0.0.1 and a directory, the same over every restart."""

    def __init__(
        self,
        directory: Path,
        *,
        management: bool = False,
        membership: Membership | None = None,
        name: str | None = None,
        tls: ServerTls | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        """With `management`, its HTTP API listens as well; ending the node then takes seconds longer.

        `name` is one of the membership's; without either, the node is alone. With `tls`, it listens for mutual TLS as
        well. `settings` are further lines of `rabbitmq.conf`.
        """
        self.directory = directory
        self.management_port = free_port() if management else None
        self.tls_port = free_port() if tls else None
        self._tls = tls
        self._settings = dict(settings or {})
        self._membership = membership or Membership.of(1)
        self.name = name or self._membership.names[0]
        self.port, self._distribution_port = free_port(), free_port()
        self.epmd_port = self._membership.epmd_port

    def __repr__(self) -> str:
        return f"PrivateNode(name={self.name!r}, port={self.port})"

    @property
    def console(self) -> Path:
        """The file that receives the node's output."""
        return self.directory / "console.log"

    def write_files(self, definitions: str, *, control: Path) -> None:
        """Write the configuration, with the users and permissions that are loaded at every start.

        `control` is the installed `rabbitmqctl`.
        """
        for name in ("home", "data", "log", "generated", "schema"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        cookie = self.directory / "home" / ".erlang.cookie"
        if not cookie.exists():
            cookie.touch(mode=0o600)
            cookie.write_text(self._membership.cookie)
            cookie.chmod(0o400)
        plugins = [
            *(["rabbitmq_management"] if self.management_port else []),
            *(["rabbitmq_auth_mechanism_ssl"] if self._tls else []),
        ]
        (self.directory / "enabled_plugins").write_text(f"[{','.join(plugins)}].\n")
        loaded = self.directory / "definitions.json"
        loaded.touch(mode=0o600)
        loaded.write_text(definitions)
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "loopback_users = none\n"
            "log.console = true\n"
            "log.console.level = info\n"
            "log.file = false\n"
            f"load_definitions = {loaded}\n"
            + self._management()
            + self._membership.configuration()
            + self._encryption()
            + "".join(f"{name} = {value}\n" for name, value in self._settings.items())
        )
        self._write_control(control)

    def _management(self) -> str:
        if self.management_port is None:
            return ""
        return (
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.management_port}\n"
            # Counts are as old as this, in milliseconds; the default of 5 s is meant for many queues.
            "collect_statistics_interval = 500\n"
        )

    def _encryption(self) -> str:
        """Return a listener that lets in whoever has a certificate, as the user whose name stands in it.

        Sources: rabbitmq.com/docs/ssl and the README of rabbitmq_auth_mechanism_ssl.
        """
        if self._tls is None:
            return ""
        return (
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.certfile = {self._tls.certificate}\n"
            f"ssl_options.keyfile = {self._tls.key}\n"
            f"ssl_options.cacertfile = {self._tls.authority}\n"
            "ssl_options.verify = verify_peer\n"
            "ssl_options.fail_if_no_peer_cert = true\n"
            "auth_mechanisms.1 = EXTERNAL\n"
            "auth_mechanisms.2 = PLAIN\n"
            "ssl_cert_login_from = common_name\n"
        )

    def _write_control(self, program: Path) -> None:
        """Leave a command for people: `DIRECTORY/rabbitmqctl list_queues -p interlock`."""
        settings = " ".join(shlex.quote(f"{name}={value}") for name, value in self.environment().items())
        control = self.directory / "rabbitmqctl"
        control.write_text(f'#!/bin/sh\nexec env -i {settings} {shlex.quote(str(program))} --node {self.name} "$@"\n')
        control.chmod(0o700)

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the node and of its command line tools."""
        directory = self.directory
        return {
            "PATH": SEARCH_PATH,
            "HOME": str(directory / "home"),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(directory / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(directory / "data"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(directory / "schema"),
            "RABBITMQ_PID_FILE": str(directory / "pid"),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_CRASH_DUMP_SECONDS": "0",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            # The script then replaces itself by the Erlang VM, so that our child is the VM.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
