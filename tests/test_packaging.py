"""What is shipped: one namespace over three folders, typed, light to import, locked, and tied to no machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "bus", "protocol")

PACKAGE_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "deb." + "debian.org")
HOME_FOLDER = re.compile(r"/(?:home|root|Users)/[a-z]" + r"|/tmp/[a-z]+_jobs")


def sources() -> Iterator[str]:
    """Return every file of the three packages, as its path below the folder that is put on the import path."""
    for package in PACKAGES:
        for path in (ROOT / package / "interlock").rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield str(path.relative_to(ROOT / package))


def tracked() -> list[Path]:
    """Return every file that is in the repository, or would be with the next commit."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def project() -> Mapping[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def lock_entries() -> Mapping[str, str]:
    """Return the lock's entries by distribution name; one that differs by platform keeps its last entry."""
    entries = re.split(r"(?m)^(?=[a-zA-Z0-9])", (ROOT / "requirements.lock").read_text())
    return {normalised(entry): entry for entry in entries if not entry.startswith("#") and entry.strip()}


def normalised(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def test_interlock_is_a_namespace_that_no_folder_claims() -> None:
    assert [package for package in PACKAGES if (ROOT / package / "interlock" / "__init__.py").exists()] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_tells_type_checkers_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "interlock" / package / "py.typed").is_file()


def test_the_wheel_has_every_file_of_the_tree_and_nothing_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert built.returncode == 0, built.stderr

    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert shipped == set(sources())


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("interlock.protocol", ["aio_pika", "anyio", "asyncio"]),
        ("interlock.bus.transport", ["aio_pika", "aiormq", "sqlite3"]),
    ],
)
def test_importing_the_light_parts_does_not_import_the_heavy_ones(module: str, heavy: list[str]) -> None:
    program = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert imported.stdout.split() == []


def test_no_file_names_a_package_host_or_somebodys_home_folder() -> None:
    found: list[str] = []
    for path in tracked():
        text = path.read_bytes().decode(errors="replace")
        found += [f"{path.relative_to(ROOT)}: {host}" for host in PACKAGE_HOSTS if host in text]
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in HOME_FOLDER.finditer(text)]

    assert found == []


def test_every_locked_distribution_is_pinned_and_has_hashes() -> None:
    entries = lock_entries()

    assert entries
    assert [name for name, entry in entries.items() if not re.match(r"[A-Za-z0-9._-]+==[^ ;\\]+", entry)] == []
    assert [name for name, entry in entries.items() if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)] == []


def test_the_lock_covers_everything_that_the_project_declares() -> None:
    declared = project()
    requirements = [
        *declared["project"]["dependencies"],
        *(name for extra in declared["project"]["optional-dependencies"].values() for name in extra),
        *declared["dependency-groups"]["dev"],
        *declared["build-system"]["requires"],
    ]

    names = {normalised(requirement) for requirement in requirements} - {"interlock"}
    assert names - lock_entries().keys() == set()


def test_the_version_in_the_project_file_is_the_installed_one() -> None:
    assert version("interlock") == project()["project"]["version"]
