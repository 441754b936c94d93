"""The image's locks: what `interlock[devops,postgres,telemetry]` needs at run time, cut from requirements.lock.

`.venv/bin/python deploy/image/lock.py` writes both again. It asks no index: the releases and hashes are those of the
lock, the dependencies those that the installed packages state, as they hold in the image.
"""

from __future__ import annotations

__all__ = ["closure", "locks"]

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import requires
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HERE = Path(__file__).parent
_LOCK = _HERE.parents[1] / "requirements.lock"
_WANTED: Mapping[str, tuple[str, ...]] = {
    "requirements.lock": ("interlock[devops,postgres,telemetry]",),
    "build.lock": ("hatchling",),
}
_ENTRY = re.compile(r"(?m)^(?P<name>[\w.-]+)==(?:.*\\\n)*.*\n")


def locks() -> dict[str, str]:
    """Return the content of each lock, by the name of its file."""
    entries: dict[str, str] = {
        canonicalize_name(match["name"]): match[0] for match in _ENTRY.finditer(_LOCK.read_text("utf-8"))
    }
    return {
        file: "".join(entries[name] for name in sorted(closure(wanted)) if name in entries)
        for file, wanted in _WANTED.items()
    }


def closure(wanted: Iterable[str]) -> set[str]:
    """Return the names of these packages and of all that they need on Linux under Python 3.13."""
    image = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux"}
    environment = {name: str(value) for name, value in default_environment().items()} | image
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in wanted]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                waiting += _needs(name, extra, environment)
    return {name for name, _ in found}


def _needs(name: str, extra: str, environment: Mapping[str, str]) -> list[Requirement]:
    stated = (Requirement(text) for text in requires(name) or ())
    return [need for need in stated if need.marker is None or need.marker.evaluate({**environment, "extra": extra})]


if __name__ == "__main__":
    for file, content in locks().items():
        (_HERE / file).write_text(content, encoding="utf-8")
