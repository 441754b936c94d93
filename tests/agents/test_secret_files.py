"""Secrets as files: what a mounted folder says, and that no value is ever repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.agents.secret_files import read_secret_files
from interlock.agents.settings import Settings
from interlock.protocol.errors import UsageError

CANARY = "canary-77c1"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("INTERLOCK_CONFIG", "INTERLOCK_BROKER_URL", "INTERLOCK_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("INTERLOCK_SECRETS_DIR", str(secrets))
    return secrets


def test_a_files_name_is_the_settings_name(folder: Path) -> None:
    (folder / "broker.password").write_text("one\n")
    (folder / "broker_url").write_text("amqp://a/interlock,amqp://b/interlock\n")
    (folder / "chat.slack.deployments").write_text("https://hooks.example.com/1")

    settings = Settings.load()

    assert settings.broker_urls("qa-agent") == ("amqp://qa-agent:one@a/interlock", "amqp://qa-agent:one@b/interlock")
    assert settings.chat.slack["deployments"].get_secret_value() == "https://hooks.example.com/1"


def test_a_mounted_secrets_own_folders_and_links_are_followed_or_passed_over(folder: Path) -> None:
    version = folder / "..2026_11_25"
    version.mkdir()
    (version / "jira.token").write_text("token")
    (folder / "..data").symlink_to(version.name)
    (folder / "jira.token").symlink_to("..data/jira.token")

    assert read_secret_files(folder) == {"jira": {"token": "token"}}


def test_the_other_sources_go_first_and_their_other_members_stay(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    Path("interlock.toml").write_text('[jira]\nurl = "https://jira.example.com"\nuser = "file"\n')
    (folder / "jira.user").write_text("secret file")
    (folder / "jira.token").write_text("token")
    monkeypatch.setenv("INTERLOCK_JIRA__URL", "https://environment.example.com")

    jira = Settings.load().jira

    assert (jira.url, jira.user) == ("https://environment.example.com", "file")
    assert jira.token.get_secret_value() == "token"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("broker.pasword", CANARY.encode(), "broker.pasword: there is no such setting"),
        ("broker_url", CANARY.encode(), "broker_url.0: an address like"),
        ("jira.token", b"\xff" + CANARY.encode(), "is not UTF-8"),
    ],
)
def test_a_mistake_names_the_file_and_not_the_value(folder: Path, name: str, content: bytes, told: str) -> None:
    (folder / name).write_bytes(content)

    with pytest.raises(UsageError) as refused:
        Settings.load()

    assert told in str(refused.value)
    assert str(folder) in str(refused.value)
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("names", [("chat.slack", "chat.slack.ops"), ("jira", "jira.token")])
def test_files_that_contradict_each_other_are_refused(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).write_text(CANARY)

    with pytest.raises(UsageError, match="another file in its folder"):
        read_secret_files(folder)


def test_a_folder_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_SECRETS_DIR", "/none/such")
    with pytest.raises(UsageError, match="the secret /none/such cannot be read: No such file"):
        Settings.load()
