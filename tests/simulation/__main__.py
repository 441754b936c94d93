"""`python -m simulation`: a long campaign with its figures as JSON, or one seed with all that happened."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict

from simulation.campaign import Figures, campaign, shrunk
from simulation.mutants import MUTANTS, hunt
from simulation.world import play


def main() -> int:
    """Run what was asked for; 1 when something was violated, or a deliberate bug got away."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many runs")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, help="run this seed alone, and tell what happened")
    parser.add_argument("--mutants", action="store_true", help="look for a seed that shows each deliberate bug")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.seed is not None:
        return _tell(arguments.seed)
    if arguments.mutants:
        return _hunt(seeds)
    figures, begun = Figures(), time.monotonic()
    for figures in campaign(seeds, processes=arguments.processes):
        print(f"{figures.runs} runs, {figures.violations} with violations", file=sys.stderr)
    told = {
        "first_seed": arguments.first,
        **vars(figures),
        "wall_seconds": round(time.monotonic() - begun, 1),
    }
    print(json.dumps(told, indent=2))
    return 1 if figures.violations else 0


def _tell(seed: int) -> int:
    outcome = play(seed, keep_lines=True)
    print(*outcome.lines, sep="\n")
    print(f"faults: {', '.join(sorted(outcome.kinds)) or 'none'}")
    print(f"trace: {outcome.trace}")
    print(*(outcome.violations or ["no violation"]), sep="\n")
    if outcome.violations:
        print(f"also with no other faults than: {', '.join(sorted(shrunk(seed))) or 'none at all'}")
    return 1 if outcome.violations else 0


def _hunt(seeds: range) -> int:
    escaped = 0
    for name in MUTANTS:
        caught = hunt(name, seeds)
        escaped += caught is None
        print(json.dumps({"mutant": name, "caught": asdict(caught) if caught else None}), flush=True)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main())
