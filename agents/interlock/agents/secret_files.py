"""Settings from a folder of files, one value each, as secrets are mounted; it knows no setting's name."""

from __future__ import annotations

__all__ = ["read_secret_files"]

from pathlib import Path
from typing import Any

from interlock.protocol.errors import UsageError


def read_secret_files(folder: Path) -> dict[str, Any]:
    """Return what the files hold, each under the setting that its name says: `jira.token` is `token` in `[jira]`.

    The line break at a file's end is no part of the value. Hidden entries are passed over: Kubernetes keeps the
    versions of a mounted secret there (kubernetes.io/docs/concepts/configuration/secret, "Mounted Secrets are updated
    automatically"). Raises UsageError for a folder or file that cannot be read, and for two that contradict each other.
    """
    found: dict[str, Any] = {}
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith(".") and file.is_file())
        for file in files:
            _place(found, file, file.read_text(encoding="utf-8").removesuffix("\n"))
    except OSError as error:
        raise UsageError(f"the secret {error.filename} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"a secret in {folder} is not UTF-8") from None  # the cause would carry the value
    return found


def _place(found: dict[str, Any], file: Path, value: str) -> None:
    *sections, name = file.name.split(".")
    members = found
    for section in sections:
        members = members.setdefault(section, {})
        if not isinstance(members, dict):
            raise UsageError(f"the secret {file} is a member of what another file in its folder gives one value")
    members[name] = value
