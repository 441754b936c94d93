"""The Terraform command line, run as a bounded child process; it knows neither databases nor approvals.

Source: developer documentation of the Terraform CLI 1.11, commands with `-json` and `-detailed-exitcode`.
"""

from __future__ import annotations

__all__ = ["PlanResult", "Terraform"]

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.abc

from interlock.agents.systems.outside import calling
from interlock.agents.systems.terraform.diagnostics import TerraformError, diagnostics_of, events_of
from interlock.protocol.errors import TransientError, UnknownOutcomeError, UsageError

_CHANGED = 2
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PASSED_ON_PREFIXES = ("AWS_", "TF_VAR_")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A saved plan and whether applying it would do anything."""

    file: Path
    has_changes: bool
    changed: tuple[str, ...]
    """Addresses of the resources that would change."""


@dataclass(frozen=True, slots=True)
class _Finished:
    returncode: int
    stdout: bytes
    stderr: bytes


class Terraform:
    """A client of one installed `terraform`; safe to share, since every call is a process of its own.

    The machine's CLI configuration is not read. Each command has a deadline in seconds; when it passes, and when the
    caller is cancelled, the whole process group gets SIGINT, then SIGKILL after a grace period.
    """

    def __init__(
        self,
        binary: str = "terraform",
        *,
        plugin_dir: Path | None = None,
        deadline: float = 300.0,
        apply_deadline: float = 3300.0,
        grace: float = 5.0,
    ) -> None:
        self._binary = binary
        self._plugin_dir = plugin_dir
        self._deadline = deadline
        self._apply_deadline = apply_deadline
        self._grace = grace

    def __repr__(self) -> str:
        return f"Terraform({self._binary!r})"

    def available(self) -> bool:
        """Return whether the program is installed."""
        return shutil.which(self._binary) is not None

    async def version(self) -> str:
        """Return the program's version, e.g. `1.11.4`."""
        finished = await self._run(Path.cwd(), "version", "-json")
        return str(_document(finished, "version", Path.cwd())["terraform_version"])

    async def fmt_check(self, directory: Path) -> tuple[str, ...]:
        """Return the files that `terraform fmt` would write differently. Raises TerraformError for a syntax error."""
        finished = await self._run(directory, "fmt", "-check", "-list=true", "-no-color")
        files = tuple(finished.stdout.decode().split())
        if finished.returncode != 0 and not files:
            raise TerraformError("fmt", str(directory), ())
        return files

    async def init(self, directory: Path, *, backend: bool = True, deadline: float | None = None) -> None:
        """Install the providers and connect the state. Raises TerraformError when one cannot be had."""
        options = [f"-backend={'true' if backend else 'false'}", "-input=false", "-no-color"]
        if self._plugin_dir is not None:
            options.append(f"-plugin-dir={self._plugin_dir}")
        await self._succeed(directory, "init", "-json", *options, deadline=deadline)

    async def validate(self, directory: Path) -> None:
        """Check the configuration against the providers' schemas. Raises TerraformError with file and line."""
        finished = await self._run(directory, "validate", "-json", "-no-color")
        report = _document(finished, "validate", directory)
        if not report["valid"]:
            raise TerraformError("validate", str(directory), diagnostics_of(report["diagnostics"]))

    async def plan(self, directory: Path, *, out: Path) -> PlanResult:
        """Refresh, compare, and save the plan, readable by its owner only: it holds every value in plain text."""
        finished = await self._succeed(
            directory, "plan", "-json", "-input=false", "-detailed-exitcode", f"-out={out}", accept=(0, _CHANGED)
        )
        await anyio.Path(out).chmod(0o600)
        return PlanResult(out, finished.returncode == _CHANGED, _changed(finished.stdout))

    async def show(self, directory: Path, *, file: Path | None = None) -> Mapping[str, Any]:
        """Return a saved plan, or the state, as `show -json` gives it: *with* sensitive values; never pass it on."""
        arguments = ("show", "-json", *((str(file),) if file else ()))
        return _document(await self._run(directory, *arguments), "show", directory)

    async def apply(self, directory: Path, *, file: Path) -> None:
        """Apply a saved plan.

        Raises TerraformError when nothing was begun, and UnknownOutcomeError when it ended, or had to be ended,
        after it had begun.
        """
        where = f"{file.name} in {directory}"
        try:
            finished = await self._run(
                directory, "apply", "-json", "-input=false", str(file), deadline=self._apply_deadline
            )
        except TransientError as error:
            raise UnknownOutcomeError(
                f"applying {where} was ended after {self._apply_deadline:g} s; reconcile before anything else"
            ) from error
        if finished.returncode < 0:
            raise UnknownOutcomeError(
                f"applying {where} was ended by signal {-finished.returncode}; reconcile before anything else"
            )
        if finished.returncode != 0:
            failure = _failure("apply", directory, finished)
            if any(event.get("type") == "apply_start" for event in events_of(finished.stdout)):
                raise UnknownOutcomeError(f"{failure}; it had begun, so reconcile before anything else") from failure
            raise failure

    async def output(self, directory: Path) -> Mapping[str, object]:
        """Return the outputs that are not sensitive, by name."""
        finished = await self._succeed(directory, "output", "-json")
        outputs = _document(finished, "output", directory)
        return {name: item["value"] for name, item in outputs.items() if not item["sensitive"]}

    async def state_version(self, directory: Path) -> tuple[str, int]:
        """Return the state's lineage and serial; `("", 0)` while there is none."""
        finished = await self._succeed(directory, "state", "pull")
        if not finished.stdout.strip():
            return "", 0
        state = _document(finished, "state pull", directory)
        return str(state["lineage"]), int(state["serial"])

    async def drift(self, directory: Path) -> tuple[str, ...]:
        """Return the addresses that differ between the code and the world; nothing is saved or changed."""
        finished = await self._succeed(
            directory, "plan", "-json", "-input=false", "-detailed-exitcode", "-lock=false", accept=(0, _CHANGED)
        )
        return _changed(finished.stdout)

    async def _succeed(
        self, directory: Path, *arguments: str, accept: tuple[int, ...] = (0,), deadline: float | None = None
    ) -> _Finished:
        finished = await self._run(directory, *arguments, deadline=deadline)
        if finished.returncode not in accept:
            raise _failure(arguments[0], directory, finished)
        return finished

    async def _run(self, directory: Path, *arguments: str, deadline: float | None = None) -> _Finished:
        seconds = self._deadline if deadline is None else deadline
        try:
            with calling("terraform", arguments[0]), anyio.fail_after(seconds):
                return await self._communicate(directory, arguments)
        except TimeoutError as error:
            raise TransientError(
                f"terraform {arguments[0]} took more than {seconds:g} s in {directory}; it was ended"
            ) from error

    async def _communicate(self, directory: Path, arguments: tuple[str, ...]) -> _Finished:
        try:
            process = await anyio.open_process(
                [self._binary, *arguments],
                cwd=directory,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise UsageError(
                f"cannot start {self._binary} in {directory}: install Terraform 1.11 or newer and put it on the PATH"
            ) from error
        streams: dict[str, bytes] = {}

        async def drain(name: str, stream: anyio.abc.ByteReceiveStream) -> None:
            streams[name] = b"".join([chunk async for chunk in stream])

        assert process.stdout is not None
        assert process.stderr is not None
        try:
            async with anyio.create_task_group() as readers:
                readers.start_soon(drain, "stdout", process.stdout)
                readers.start_soon(drain, "stderr", process.stderr)
                await process.wait()
                # Children of an ended Terraform (providers, provisioners) would keep the pipes open.
                _signal_group(process.pid, signal.SIGKILL)
        finally:
            with anyio.CancelScope(shield=True):
                await self._end(process)
        assert process.returncode is not None
        return _Finished(process.returncode, streams["stdout"], streams["stderr"])

    async def _end(self, process: anyio.abc.Process) -> None:
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGINT)
            with anyio.move_on_after(self._grace):
                await process.wait()
        _signal_group(process.pid, signal.SIGKILL)
        await process.aclose()


def _signal_group(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def _environment() -> dict[str, str]:
    """Return what Terraform may see of our environment, without a word of the machine's own configuration."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED_ON or name in _PROXIES or name.startswith(_PASSED_ON_PREFIXES)
    }
    return passed | {
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
        "TF_CLI_CONFIG_FILE": os.devnull,
    }


def _document(finished: _Finished, command: str, directory: Path) -> Mapping[str, Any]:
    try:
        return cast("Mapping[str, Any]", json.loads(finished.stdout))
    except ValueError as error:
        raise _failure(command, directory, finished) from error


def _failure(command: str, directory: Path, finished: _Finished) -> TerraformError | TransientError:
    error = TerraformError(command, str(directory), diagnostics_of(events_of(finished.stdout)))
    if error.says("Error acquiring the state lock"):
        return TransientError(
            f"terraform {command} found the state of {directory} locked by another run; try again once that has ended"
        )
    return error


def _changed(stream: bytes) -> tuple[str, ...]:
    return tuple(
        event["change"]["resource"]["addr"]
        for event in events_of(stream)
        if event.get("type") == "planned_change" and event["change"]["action"] not in {"noop", "read"}
    )
