"""Makes the secrets that compose.yaml mounts, once: `.venv/bin/python deploy/compose/prepare.py [FOLDER]`.

A folder for each that needs some, with nothing but what it needs: an agent gets its password at the broker and the
address of its store, the broker hashes of passwords, PostgreSQL its roles. What is there is left alone.
"""

from __future__ import annotations

__all__ = ["prepare"]

import secrets
import sys
from pathlib import Path

from interlock.agents.permissions import allowed_rows
from interlock.bus.rabbitmq import ADMIN, definitions
from interlock.protocol.roles import CONSOLE, TEAM

_DATABASE = "interlock"
_OWNER = ADMIN


def prepare(folder: Path) -> None:
    """Write all secrets below the folder; raise FileExistsError when it is there: they belong together."""
    folder.mkdir(mode=0o700, parents=True)
    users = definitions(allowed_rows(), observers=(CONSOLE,))
    stores = {name: secrets.token_urlsafe(24) for name in (_OWNER, *TEAM)}
    _write(folder / "rabbitmq" / "definitions.json", users.to_json())
    _write(folder / "rabbitmq" / "erlang.cookie", secrets.token_hex(32))
    _write(folder / "postgres" / "password", secrets.token_urlsafe(24))
    _write(folder / "postgres" / "databases.sql", _databases(stores))
    _write(folder / "grafana" / "password", secrets.token_urlsafe(24))
    for name, password in users.passwords.items():
        _write(folder / name / "broker.password", password)
    _write(folder / ADMIN / "broker.user", ADMIN)
    for name, password in stores.items():
        _write(folder / name / "store_url", f"postgresql://{name}:{password}@postgres:5432/{_DATABASE}")


def _write(file: Path, content: str) -> None:
    """Write a file that containers can read: only the folder above all of them keeps others on this machine out."""
    file.parent.mkdir(mode=0o755, exist_ok=True)
    file.write_text(content, encoding="utf-8")
    file.chmod(0o444)


def _databases(passwords: dict[str, str]) -> str:
    """Return roles and database: one owner, who migrates, and for each agent a schema in which it reads and writes."""
    statements = [f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}';" for name, password in passwords.items()]
    statements += [
        f'CREATE DATABASE "{_DATABASE}" OWNER "{_OWNER}";',
        f'REVOKE ALL ON DATABASE "{_DATABASE}" FROM PUBLIC;',
        f'\\connect "{_DATABASE}"',
    ]
    for name in passwords:
        if name != _OWNER:
            defaults = f'ALTER DEFAULT PRIVILEGES FOR ROLE "{_OWNER}" IN SCHEMA "{name}" GRANT'
            statements += [
                f'GRANT CONNECT ON DATABASE "{_DATABASE}" TO "{name}";',
                f'CREATE SCHEMA "{name}" AUTHORIZATION "{_OWNER}";',
                f'GRANT USAGE ON SCHEMA "{name}" TO "{name}";',
                f'{defaults} SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{name}";',
                f'{defaults} USAGE, SELECT ON SEQUENCES TO "{name}";',
            ]
    return "\n".join(statements) + "\n"


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "secrets"
    try:
        prepare(chosen)
    except FileExistsError:
        sys.exit(f"{chosen} is there, and is left as it is: what it holds is in use, or remove it and start anew")
