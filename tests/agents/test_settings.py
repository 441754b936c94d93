"""Where settings come from, which source wins, and what a mistake is told."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from interlock.agents.cli.toml import render_environment, render_toml
from interlock.agents.settings import Settings
from interlock.protocol.errors import UsageError

CANARY = "canary-5f1c0a"


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("INTERLOCK_CONFIG", "INTERLOCK_BROKER_URL", "INTERLOCK_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)


def write(text: str, name: str = "interlock.toml") -> Path:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return path


def test_without_any_source_the_defaults_hold() -> None:
    settings = Settings.load()
    assert settings.state_dir == Path(".interlock")
    assert (settings.backend.pool_size, settings.backend.replicas) == (20, 3)
    assert settings.provisioning.engine == "auto"
    assert settings.store_path("coordinator") == Path(".interlock/coordinator.sqlite")


def test_the_file_in_the_working_directory_is_read() -> None:
    write('state_dir = "state"\n[backend]\npool_size = 7\n[chat.slack]\n"#ops" = "https://hooks.example.com/1"\n')
    settings = Settings.load()
    assert settings.state_dir == Path("state")
    assert settings.backend.pool_size == 7
    assert settings.backend.replicas == 3
    assert settings.chat.slack["ops"].get_secret_value() == "https://hooks.example.com/1"


def test_the_environment_goes_before_the_file_and_flags_before_both(monkeypatch: pytest.MonkeyPatch) -> None:
    write("[backend]\npool_size = 7\nreplicas = 7\n[aws]\nregion = 'eu-west-1'\n")
    monkeypatch.setenv("INTERLOCK_BACKEND__POOL_SIZE", "8")
    monkeypatch.setenv("INTERLOCK_BACKEND__REPLICAS", "8")
    settings = Settings.load({"backend": {"replicas": 9}})
    assert (settings.backend.pool_size, settings.backend.replicas, settings.aws.region) == (8, 9, "eu-west-1")


@pytest.mark.parametrize("by", ["flag", "environment"])
def test_another_file_can_be_named(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write("state_dir = 'wrong'")
    other = write("state_dir = 'right'", "other.toml")
    if by == "environment":
        monkeypatch.setenv("INTERLOCK_CONFIG", str(other))
    settings = Settings.load({"config": other} if by == "flag" else None)
    assert settings.state_dir == Path("right")


@pytest.mark.parametrize("text", ["amqp://a/v, amqp://b/v", '["amqp://a/v", "amqp://b/v"]'])
def test_several_brokers_fit_into_one_variable(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_BROKER_URL", text)
    assert Settings.load().broker_urls("qa-agent") == ("amqp://a/v", "amqp://b/v")


def test_a_broker_url_of_the_file_may_be_a_text_or_a_list() -> None:
    write('broker_url = "amqp://a/v"')
    assert Settings.load().broker_urls("qa-agent") == ("amqp://a/v",)
    write('broker_url = ["amqp://a/v", "amqp://b/v"]')
    assert Settings.load().broker_urls("qa-agent") == ("amqp://a/v", "amqp://b/v")


def test_credentials_of_the_file_go_into_the_url_and_an_agents_own_go_first() -> None:
    write(
        'broker_url = "amqp://old:old@host:5673/v?heartbeat=5"\n[broker]\npassword = "p@ss/word"\n'
        '[broker.passwords]\nconsole = "own"\n'
    )
    settings = Settings.load()
    assert settings.broker_urls("qa-agent") == ("amqp://qa-agent:p%40ss%2Fword@host:5673/v?heartbeat=5",)
    assert settings.broker_urls("console") == ("amqp://console:own@host:5673/v?heartbeat=5",)


def test_a_shared_broker_user_is_used_for_every_agent() -> None:
    write('broker_url = "amqp://host/v"\n[broker]\nuser = "team"\npassword = "p"\n')
    assert Settings.load().broker_urls("qa-agent") == ("amqp://team:p@host/v",)


def test_an_agents_name_stands_where_the_url_says_so() -> None:
    write('broker_url = "amqps://host/v?certfile=/etc/{agent}.pem&auth=EXTERNAL"')
    assert Settings.load().broker_urls("qa-agent") == ("amqps://host/v?certfile=/etc/qa-agent.pem&auth=EXTERNAL",)
    assert Settings.load().administrator_urls("root") == ("amqps://host/v?certfile=/etc/root.pem&auth=EXTERNAL",)


def test_without_a_broker_the_error_says_where_to_set_one() -> None:
    with pytest.raises(UsageError, match="INTERLOCK_BROKER_URL"):
        Settings.load().broker_urls("console")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[backend]\npool_size = 'many'", r"^interlock\.toml: backend\.pool_size: .*integer"),
        ("[backend]\npool_size = 0", r"^interlock\.toml: backend\.pool_size: .*greater than or equal to 1"),
        ("[backend]\npoolsize = 5", r"^interlock\.toml: backend\.poolsize: there is no such setting"),
        ("unknown = 5", r"^interlock\.toml: unknown: there is no such setting"),
        ("[provisioning]\nengine = 'pulumi'", r"^interlock\.toml: provisioning\.engine: .*'terraform'"),
        ("[runtime]\nconcurrency = 'x'", r"^interlock\.toml: runtime\.concurrency: "),
        ("[runtime]\nconcurency = 4", r"^interlock\.toml: runtime: there is no such setting: concurency"),
        ("backend = 3", r"^interlock\.toml: backend: "),
        ("[backend", r"^the settings file interlock\.toml is not TOML: at (line 1|end)"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_key(text: str, message: str) -> None:
    write(text)
    with pytest.raises(UsageError, match=message):
        Settings.load()


def test_a_mistake_in_the_environment_is_told_with_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_BACKEND__POOL_SIZE", "many")
    with pytest.raises(UsageError, match=r"^INTERLOCK_BACKEND__POOL_SIZE: backend\.pool_size: "):
        Settings.load()


@pytest.mark.parametrize("url", [f"amqp://[{CANARY}", f"amqp://{CANARY}:port/v", f"http://{CANARY}", CANARY, "amqp://"])
def test_an_address_that_is_none_is_told_without_repeating_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_BROKER_URL", f"amqp://good/v,{url}")
    with pytest.raises(UsageError, match=r"^INTERLOCK_BROKER_URL: broker_url\.1: an address like amqp") as caught:
        Settings.load()
    assert CANARY not in str(caught.value)


def test_a_section_in_the_environment_that_is_not_json_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_CHAT", f"{{{CANARY}")
    with pytest.raises(UsageError, match="chat") as caught:
        Settings.load()
    assert CANARY not in str(caught.value)


def test_a_named_file_that_is_missing_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"missing\.toml cannot be read: No such file"):
        Settings.load({"config": Path("missing.toml")})


def test_no_secret_is_in_a_repr_or_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        f'broker_url = "amqp://u:{CANARY}@host/v"\n[broker]\npassword = "{CANARY}"\n'
        f'[broker.passwords]\nx = "{CANARY}"\n'
        f'[jira]\ntoken = "{CANARY}"\n[aws]\nsecret_access_key = "{CANARY}"\n[kubernetes]\ntoken = "{CANARY}"\n'
        f'[chat.slack]\n"#ops" = "{CANARY}"\n[chat.discord]\nops = "{CANARY}"\n'
    )
    settings = Settings.load()
    assert CANARY not in repr(settings) + str(settings) + settings.model_dump_json()
    write(f'[jira]\ntoken = ["{CANARY}"]')
    with pytest.raises(UsageError) as caught:
        Settings.load()
    assert CANARY not in str(caught.value)
    write(f'[jira]\ntoken = "{CANARY}')
    with pytest.raises(UsageError) as caught:
        Settings.load()
    assert CANARY not in str(caught.value)


NESTED = {
    "broker_url": ["amqp://a/v", "amqp://b/v"],
    "state_dir": '/var/lib/it\'s "here"',
    "jira": {"url": "http://127.0.0.1:1", "token": "한국어\x7f\n", "cloud": False, "user": None},
    "chat": {"slack": {"#ops": "http://127.0.0.1:2", "일반": "http://127.0.0.1:3"}, "discord": {}},
    "backend": {"pool_size": 5},
}


def test_rendered_toml_reads_back_as_what_was_rendered() -> None:
    read = tomllib.loads(render_toml(NESTED))
    assert read == {
        **NESTED,
        "jira": {"url": "http://127.0.0.1:1", "token": "한국어\x7f\n", "cloud": False},
        "chat": {"slack": NESTED["chat"]["slack"]},  # type: ignore[index]
    }


def test_rendered_settings_load_from_either_form(monkeypatch: pytest.MonkeyPatch) -> None:
    write(render_toml(NESTED))
    from_file = Settings.load()
    Path("interlock.toml").unlink()
    for line in render_environment({**NESTED, "jira": {"url": "http://127.0.0.1:1"}, "state_dir": "x"}).splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value.strip("'"))
    from_environment = Settings.load()
    assert from_environment.broker_url == from_file.broker_url
    assert from_environment.chat == from_file.chat
    assert from_environment.backend.pool_size == from_file.backend.pool_size == 5


def test_what_toml_cannot_say_is_refused() -> None:
    with pytest.raises(UsageError, match="'state_dir' is a PosixPath"):
        render_toml({"state_dir": Path("x")})


def test_a_channel_may_be_written_with_its_sign() -> None:
    webhooks = {"#deployments": "https://hooks.example.com/1", "ops": "https://hooks.example.com/2"}
    chat = Settings.load({"chat": {"slack": webhooks, "discord": webhooks}}).chat
    assert list(chat.slack) == list(chat.discord) == ["deployments", "ops"]
