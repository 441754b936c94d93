"""The root command: what it offers, and how it behaves as a process."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import anyio
import pytest

from agents.cli.running import COMMAND, MESSAGES, environment, interlock, run_process

APP = "interlock.agents.cli.app"
COMMANDS = (
    "demo",
    "run",
    "sandbox",
    "broker",
    "send",
    "record",
    "replay",
    "validate",
    "tail",
    "workflows",
    "approvals",
    "dead",
    "schemas",
)
EXTRAS = ("aioboto3", "aiohttp", "asyncpg", "cryptography", "httpx", "jira", "kubernetes_asyncio", "moto")


def test_help_lists_every_command() -> None:
    shown = interlock("--help")
    assert shown.exit_code == 0
    assert all(f"  {command} " in shown.stdout for command in COMMANDS)


@pytest.mark.parametrize(
    "command", ["send", "record", "replay", "validate", "tail", "workflows", "approvals", "dead", "schemas"]
)
def test_every_command_explains_itself(command: str) -> None:
    assert interlock(command, "--help").exit_code == 0


def test_help_is_text_and_offers_nothing_that_edits_a_shell() -> None:
    helped = interlock("replay", "--help").stdout
    assert "[broker.passwords]" in helped
    assert "completion" not in interlock("dead", "--help").stdout + helped


def test_the_version_is_told() -> None:
    assert interlock("--version").stdout.startswith("interlock ")


@pytest.mark.parametrize(
    "arguments", [["unknown"], ["validate"], ["validate", "--unknown", "x"], ["tail", "--limit", "0"]]
)
def test_a_wrong_command_line_is_a_usage_error(arguments: list[str]) -> None:
    result = interlock(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""


@pytest.mark.parametrize(("command", "extra"), [("demo", "sandbox"), ("run", "devops"), ("sandbox", "sandbox")])
@pytest.mark.parametrize("argument", ["--json", "--help"])
def test_a_command_whose_extra_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, command: str, extra: str, argument: str
) -> None:
    def without_extras(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'aiobotocore'", name="aiobotocore")

    monkeypatch.setattr(f"{APP}.importlib", SimpleNamespace(import_module=without_extras))
    result = interlock(command, argument)
    assert result.exit_code == 2
    assert result.stderr == f"UsageError: 'interlock {command}' needs aiobotocore: install interlock[{extra}]\n"


def test_a_defect_in_a_commands_module_is_not_taken_for_a_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'interlock.agents.renamed'", name="interlock.agents.renamed")

    monkeypatch.setattr(f"{APP}.importlib", SimpleNamespace(import_module=broken))
    assert isinstance(interlock("demo").exception, ModuleNotFoundError)


async def test_the_core_commands_work_with_the_core_alone(tmp_path: Path) -> None:
    blocked = "\n".join(f"sys.modules[{name!r}] = None" for name in EXTRAS)
    code = (
        f"import sys\n{blocked}\nfrom interlock.agents.cli import app\n"
        "from interlock.agents.cli import approvals, dead, record, replay, schemas, send, tail, validate, workflows\n"
        "assert not any(name.startswith('interlock.agents.systems') for name in sys.modules)\n"
        "app.main()\n"
    )
    with anyio.fail_after(30):
        result = await anyio.run_process(
            [sys.executable, "-c", code, "validate", str(MESSAGES / "infrastructure_ready.json")],
            env=environment(),
            cwd=tmp_path,
        )
    assert b"ok: infrastructure_ready v1" in result.stdout


async def test_validate_reads_no_settings_and_loads_no_broker_client(tmp_path: Path) -> None:
    (tmp_path / "interlock.toml").write_text("[broken")
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print(sorted({'aio_pika', 'pydantic_settings'} & set(sys.modules))))\n"
        "from interlock.agents.cli import main\nmain()\n"
    )
    with anyio.fail_after(30):
        result = await anyio.run_process(
            [sys.executable, "-c", code, "validate", str(MESSAGES / "infrastructure_ready.json")],
            env=environment(),
            cwd=tmp_path,
        )
    assert result.stdout.splitlines()[-1] == b"[]"


async def test_a_settings_file_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("[backend]\npool_size = 'many'\n")
    result = await run_process("--config", "wrong.toml", "workflows", "list", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == b""
    assert result.stderr.startswith(b"UsageError: wrong.toml: backend.pool_size: ")
    assert result.stderr.count(b"\n") == 1


async def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        result = await anyio.run_process(
            ["/bin/sh", "-c", '"$@" | head -c 1', "sh", *COMMAND, "validate", "--json", "-"],
            input=b"{}",
            check=False,
            env=environment(),
            cwd=tmp_path,
        )
    assert b"Traceback" not in result.stderr


async def test_text_that_the_terminal_cannot_show_ends_no_command(tmp_path: Path) -> None:
    (tmp_path / "데이터.json").write_bytes((MESSAGES / "infrastructure_ready.json").read_bytes())
    result = await run_process(
        "validate", "데이터.json", settings={"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "1"}, cwd=tmp_path
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert rb"\ub370" in result.stdout
