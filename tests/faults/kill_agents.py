"""Kills every agent and the broker, again and again, while a change is under way, and looks whether anything shows.

Each run is a whole demonstration over a private RabbitMQ, in which each agent and the broker are killed once, at
moments that the seed gives. Run: `python tests/faults/kill_agents.py [--kills 30] [--seed 1] [--only WHO …] [--json]`.
Exits with 1 when something was lost, done twice, or not accepted.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a script's own folder is all that Python puts there

from faults.flow import Flow, Hit, Outcome
from faults.killing import TARGETS, plan_kills
from faults.oracle import Evidence, violations
from interlock.agents.demo.cast import replicas_of
from interlock.protocol.roles import TEAM

_DEADLINE = 300.0
"""Seconds for one run."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run, judged."""

    run: int
    hits: tuple[Hit, ...]
    outcome: str
    seconds: float
    broker: str
    violations: tuple[str, ...]

    @classmethod
    def of(cls, run: int, outcome: Outcome) -> Row:
        """Judge a run."""
        evidence = Evidence.of(outcome)
        return cls(
            run,
            outcome.hits,
            str(evidence.report.get("outcome", "none")),
            outcome.seconds,
            str(evidence.report.get("broker", {}).get("version", "unknown")),
            violations(evidence),
        )

    def __str__(self) -> str:
        kills = "\n".join(f"        {_told(hit)}" for hit in self.hits)
        wrong = "".join(f"\n        WRONG: {violation}" for violation in self.violations)
        return f"run {self.run}: {self.outcome} in {self.seconds:.0f} s, {len(self.hits)} kills\n{kills}{wrong}"


def _told(hit: Hit) -> str:
    back = "the change ended first" if hit.recovery is None else f"back after {hit.recovery:.1f} s"
    return f"{hit.kill.target:15} {hit.state:26} process {hit.pid:<8} {back}"


async def _play(arguments: argparse.Namespace, folder: Path) -> list[Row]:
    rows: list[Row] = []
    while sum(len(row.hits) for row in rows) < arguments.kills:
        run = len(rows) + 1
        here = folder / f"run-{run}"
        everyone = TARGETS if arguments.replicas == 1 else replicas_of(TEAM, arguments.replicas)
        kills = () if arguments.at_writes else plan_kills(arguments.seed, run, targets=arguments.only or everyone)
        flow = Flow(here, kills, at_writes=arguments.at_writes, replicas=arguments.replicas)
        row = Row.of(run, await flow.play(deadline=_DEADLINE))
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
        if row.violations or not row.hits:
            break
        if not arguments.keep:
            shutil.rmtree(here)
    return rows


def _summary(rows: Sequence[Row]) -> dict[str, object]:
    hits = [hit for row in rows for hit in row.hits]
    recoveries = sorted(hit.recovery for hit in hits if hit.recovery is not None)
    return {
        "kills": len(hits),
        "runs": len(rows),
        "accepted": sum(row.outcome == "accepted" for row in rows),
        "violations": sum(len(row.violations) for row in rows),
        "recoveryMedian": round(recoveries[len(recoveries) // 2], 1) if recoveries else None,
        "recoveryLongest": round(recoveries[-1], 1) if recoveries else None,
        "broker": rows[-1].broker,
        "python": platform.python_version(),
    }


def main() -> int:
    """Run until enough kills have met living processes, or one run went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30, help="at least so many, that met living processes (30)")
    parser.add_argument("--seed", type=int, default=1, help="gives targets and moments (1)")
    parser.add_argument("--only", nargs="+", metavar="WHO", help="kill these; repeat a name to insist")
    parser.add_argument("--replicas", type=int, default=1, help="processes per agent, over PostgreSQL if several (1)")
    parser.add_argument("--at-writes", action="store_true", help="kill devops-agent right after each effect instead")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep every run there, not only one that went wrong")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="interlock-kills-"))
    rows = anyio.run(_play, arguments, folder)
    summary = _summary(rows)
    if arguments.json:
        print(json.dumps({"seed": arguments.seed, **summary, "rows": [asdict(row) for row in rows]}, indent=2))
    else:
        print(", ".join(f"{name} {value}" for name, value in summary.items()))
    failed = any(row.violations for row in rows) or not all(row.hits for row in rows)
    if failed:
        print(f"logs, stores and the sandbox's journal of the run that went wrong: {folder}", file=sys.stderr)
    elif not arguments.keep:
        shutil.rmtree(folder)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
