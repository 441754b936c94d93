"""A demonstration knows the sandbox, and nothing that the machine it runs on is configured for."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.agents.demo.stage import MemoryStage, RabbitStage

SANDBOX = {"jira": {"url": "http://127.0.0.1:1", "user": "devops-agent", "token": "sandbox", "cloud": False}}


@pytest.fixture
def operator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is an operator's: environment and working directory name real systems."""
    (tmp_path / "interlock.toml").write_text('[kubernetes]\ncontext = "production"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_JIRA__URL", "https://jira.example.com")
    monkeypatch.setenv("INTERLOCK_PROVISIONING__ENGINE", "terraform")


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.usefixtures("operator")
def test_agents_in_this_process_are_not_told_of_real_systems(tmp_path: Path) -> None:
    settings = MemoryStage(tmp_path / "demo", settings=SANDBOX).settings

    assert settings.jira.url == "http://127.0.0.1:1"
    assert settings.provisioning.engine == "auto"
    assert settings.kubernetes.context is None


@pytest.mark.rabbitmq
@pytest.mark.usefixtures("operator")
async def test_agents_in_processes_of_their_own_are_not_told_of_real_systems(tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    directory.mkdir()
    async with RabbitStage(directory, settings=SANDBOX) as stage:
        environments = [environment_of(pid) for pid in stage.processes.values()]
        settings = stage.settings

    assert len(environments) == 6
    assert not any(b"INTERLOCK_" in environment for environment in environments)
    assert settings.jira.url == "http://127.0.0.1:1"
    assert settings.provisioning.engine == "auto"
