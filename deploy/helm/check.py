"""Lints the chart and renders it for each values file: `check.py OUTPUT`; uses `helm`, or Helm's own library by ctypes.

The library comes from tools.lock, and is Helm's Go SDK without the command line around it. Rendered manifests are left
in OUTPUT/<values>.yaml for validators; wrong values that the schema lets pass are an error too.
"""

from __future__ import annotations

__all__ = ["main"]

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_HERE = Path(__file__).parent
_CHART = _HERE / "interlock"
_RELEASE = "interlock"
_NAMESPACE = "bus"
_REFUSED: dict[str, dict[str, Any]] = {
    "an unknown value": {"agnets": {}},
    "a broker that is neither made nor named": {"broker": {"create": False}},
    "a password in an address": {"broker": {"create": False, "url": "amqp://me:secret@host:5672/interlock"}},
    "two processes on one SQLite file": {"store": {"kind": "sqlite"}},
    "an even number of brokers": {"broker": {"replicas": 2}},
    "a digest that is none": {"image": {"digest": "latest"}},
    "an unknown right": {"agents": {"qa-agent": {"kubernetesAccess": "admin"}}},
}


def main(output: Path) -> int:
    """Return the number of things that are wrong, after telling each."""
    output.mkdir(parents=True, exist_ok=True)
    helm = _Program(output) if shutil.which("helm") else _Library()
    problems = 0
    cases = {"default": dict[str, Any]()} | {
        file.stem: YAML(typ="safe").load(file) for file in sorted((_HERE / "values").glob("*.yaml"))
    }
    for name, values in cases.items():
        found = helm.problems(values)
        problems += len(found)
        for problem in found:
            print(f"chart, values {name}: {problem}")
        if not found:
            rendered = helm.render(values)
            (output / f"{name}.yaml").write_text(rendered, encoding="utf-8")
            print(f"chart, values {name}: {rendered.count(chr(10) + 'kind: ')} objects")
    for what, values in _REFUSED.items():
        if not helm.refuses(values):
            print(f"chart: accepts {what}: {json.dumps(values)}")
            problems += 1
    print(f"chart: linted and rendered by {helm}; {len(_REFUSED)} wrong values tried")
    return problems


class _Program:
    """The command line, where it is installed."""

    def __init__(self, scratch: Path) -> None:
        self._values = scratch / ".values.json"

    def __str__(self) -> str:
        return f"helm {self._run('version', '--short').stdout.strip()}"

    def problems(self, values: dict[str, Any]) -> list[str]:
        self._values.write_text(json.dumps(values), encoding="utf-8")
        linted = self._run("lint", "--strict", "--quiet", "--values", str(self._values), str(_CHART))
        return [linted.stdout + linted.stderr] if linted.returncode else []

    def refuses(self, values: dict[str, Any]) -> bool:
        return self._template(values).returncode != 0

    def render(self, values: dict[str, Any]) -> str:
        rendered = self._template(values)
        rendered.check_returncode()
        return rendered.stdout

    def _template(self, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        self._values.write_text(json.dumps(values), encoding="utf-8")
        return self._run("template", _RELEASE, str(_CHART), "--namespace", _NAMESPACE, "--values", str(self._values))

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)  # noqa: S607 - as on PATH


class _Library:
    """Helm's Go SDK, bound by the package helm-python-sdk."""

    def __init__(self) -> None:
        import helm_python  # pyright: ignore[reportMissingImports] - in a folder of its own, and only where it is used

        self._helm: Any = helm_python

    def __str__(self) -> str:
        return f"Helm's SDK {self._helm.helm_sdk_version()}"

    def problems(self, values: dict[str, Any]) -> list[str]:
        report = self._helm.lint(str(_CHART), values, strict=True, namespace=_NAMESPACE)
        found = [f"{message['path']}: {message['error']}" for message in report["messages"] if message["severity"] > 1]
        return found + [error for error in report["errors"] if not found]

    def refuses(self, values: dict[str, Any]) -> bool:
        with self._helm.Chart.load(str(_CHART)) as chart:
            try:
                chart.validate_schema(values)
                chart.render(values, name=_RELEASE, namespace=_NAMESPACE)
            except self._helm.HelmError:
                return True
        return False

    def render(self, values: dict[str, Any]) -> str:
        with self._helm.Chart.load(str(_CHART)) as chart:
            files = chart.render(values, name=_RELEASE, namespace=_NAMESPACE)
        manifests = (text for name, text in sorted(files.items()) if name.endswith(".yaml") and text.strip())
        return "".join(f"---\n{text.removeprefix('---').strip()}\n" for text in manifests)


if __name__ == "__main__":
    sys.exit(min(main(Path(sys.argv[1])), 1))
