"""Messages of installed packages: found, told apart, and a broken package costs nobody else anything."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.protocol import CATALOGUE, UsageError
from interlock.protocol.discovery import discover, installed_catalogue

Install = Callable[..., None]

TAPES = """
from interlock.protocol import Event, Route

__all__ = ["TapeChanged"]


class TapeChanged(Event, type="{type}", route=Route.of("tape-agent", "all")):
    '''Somebody has changed a tape.'''

    slot: int
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package by its metadata and one module, as an installer leaves them."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(package: str, module: str, source: str | None) -> None:
        metadata = tmp_path / f"{package}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[interlock.messages]\n{package} = {module}\n")
        if source is not None:
            (tmp_path / f"{module}.py").write_text(source)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_without_packages_the_catalogue_is_interlocks_own() -> None:
    assert list(installed_catalogue()) == list(CATALOGUE)
    assert list(discover().packages) == ["interlock"]


def test_an_installed_packages_messages_are_in_the_catalogue_and_its_agents_among_the_agents(install: Install) -> None:
    install("tape_robot", "tape_robot_messages", TAPES.format(type="tape_changed"))

    catalogue = installed_catalogue()

    assert catalogue.lookup("tape_changed", 1).__name__ == "TapeChanged"
    assert catalogue.agents() - CATALOGUE.agents() == {"tape-agent"}
    assert [message.declaration.type for message in discover().package("Tape-Robot")] == ["tape_changed"]


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (None, "cannot be loaded from broken_messages: ModuleNotFoundError"),
        ("def (", "cannot be loaded from broken_messages: SyntaxError"),
        ("1 / 0", "cannot be loaded from broken_messages: ZeroDivisionError"),
        ("x = 1", "must be a module with an __all__"),
        ("__all__ = ['Missing']", "lists in its __all__ what it has not"),
        (TAPES.format(type="plan_ready"), "plan_ready is interlock's already; name it e.g. broken_plan_ready"),
        (TAPES.format(type="tape_changed"), "tape_changed is a_tape_robot's already"),
    ],
)
def test_a_broken_package_is_named_and_costs_only_its_own_messages(
    install: Install, caplog: pytest.LogCaptureFixture, source: str | None, problem: str
) -> None:
    install("a_tape_robot", "tape_robot_messages", TAPES.format(type="tape_changed"))
    install("broken", "broken_messages", source)

    found = discover()

    (told,) = found.problems
    assert told.startswith("broken: ")
    assert problem in told
    assert len(found.catalogue) == len(installed_catalogue()) == len(CATALOGUE) + 1
    assert told in caplog.text
    with pytest.raises(UsageError, match="broken: "):
        found.whole()
    with pytest.raises(UsageError, match="broken: "):
        found.package("broken")


def test_a_package_that_is_not_there_is_an_error_that_tells_which_are() -> None:
    with pytest.raises(UsageError, match="these do: interlock"):
        discover().package("nobody")
