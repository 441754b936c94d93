"""The image is made from what is locked, and from nothing that it does not need."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy" / "image"


def names(lock: str) -> set[str]:
    return set(re.findall(r"(?m)^([\w.-]+)==", lock))


@pytest.fixture(scope="module")
def locks() -> dict[str, str]:
    generated = runpy.run_path(str(IMAGE / "lock.py"))["locks"]()
    assert isinstance(generated, dict)
    return generated


@pytest.mark.parametrize("file", ["requirements.lock", "build.lock"])
def test_the_locks_are_cut_from_the_projects(file: str, locks: dict[str, str]) -> None:
    assert (IMAGE / file).read_text() == locks[file], "run: .venv/bin/python deploy/image/lock.py"


def test_every_package_in_the_image_is_pinned_with_hashes(locks: dict[str, str]) -> None:
    for lock in locks.values():
        for entry in re.split(r"(?m)^(?=\w)", lock)[1:]:
            assert "--hash=sha256:" in entry, entry


def test_clients_and_servers_of_production_are_in_and_tools_are_not(locks: dict[str, str]) -> None:
    inside = names(locks["requirements.lock"])

    assert {"aio-pika", "asyncpg", "jira", "aioboto3", "kubernetes-asyncio", "prometheus-client"} <= inside
    assert inside & {"moto", "pytest", "mypy", "pyright", "ruff", "mkdocs", "hatchling", "cryptography"} == set()


def test_what_the_build_copies_is_let_through() -> None:
    """Copying what `.dockerignore` hides fails only where the image is really built."""
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied: list[str] = []
    for line in re.findall(r"(?m)^COPY (?!--from)(.+)$", (IMAGE / "Dockerfile").read_text()):
        copied += line.split()[:-1]

    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in let_through), source
