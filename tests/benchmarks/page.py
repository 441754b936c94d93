"""Writes docs/performance.md, its tables and its plots, from docs/performance/*.json: `make performance`.

What `make bench` has measured since becomes the files first, unless it was measured quickly. It measures nothing.
"""

from __future__ import annotations

__all__ = ["DOCUMENT", "KEPT", "images", "main", "page", "results"]

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import plots, tables
from benchmarks.plots import Bars, Lines
from benchmarks.rounds import median
from benchmarks.stage import AIORMQ, C_CLIENT, FASTSTREAM, INTERLOCK, JOURNAL, RAW

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "build" / "bench" / "results"
KEPT = ROOT / "docs" / "performance"
DOCUMENT = ROOT / "docs" / "performance.md"
_MARKED = re.compile(r"<!-- ([a-z-]+) begin -->\n.*?<!-- \1 end -->", re.DOTALL)
_NEEDED = {
    "circumstances": {"peers"},
    "gains": {"peers"},
    "prices": {"peers", "durable", "durable-postgresql"},
}
"""The parts of the suite that stand behind what is not named after one."""
_KEEPS_PACE = 0.95
"""What part of the pace somebody must reach, else its queue grows and its delays say nothing."""
_PEERS = (INTERLOCK, JOURNAL, AIORMQ, RAW, FASTSTREAM, "Taskiq", "Dramatiq", "Celery", "pika, blocking", C_CLIENT)


def results() -> dict[str, Any]:
    """Return what is kept, by part of the suite."""
    return {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(KEPT.glob("*.json"))}


def page(document: str, kept: Mapping[str, Any]) -> str:
    """Return the document with what stands between its marks written anew."""

    def written(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- {name} begin -->\n{_text(name, kept)}<!-- {name} end -->"

    return _MARKED.sub(written, document)


def _text(name: str, kept: Mapping[str, Any]) -> str:
    found = {part: result["found"] for part, result in kept.items()}
    if not _NEEDED.get(name, {name}) <= found.keys():
        return "Not measured yet.\n"
    match name:
        case "circumstances":
            return _circumstances(kept)
        case "gains":
            return tables.gains(found["peers"])
        case "prices":
            return tables.prices(found["peers"], found["durable"], found["durable-postgresql"])
        case _:
            return tables.of(name, found[name])


def _circumstances(kept: Mapping[str, Any]) -> str:
    where = kept["peers"]["where"]
    packages = ", ".join(f"{name} {version}" for name, version in where["packages"].items())
    loads = [part["where"]["load"] for part in kept.values()]
    minutes = sum(part["where"]["seconds"] for part in kept.values()) / 60
    rounds = sorted({part["where"]["rounds"] for part in kept.values()})
    return (
        f"Measured on {where['date']}: {where['processor']}, {where['cores']} cores, {where['system']}, "
        f"RabbitMQ {where['rabbitmq']}, Python {where['python']}, SQLite {where['sqlite']}; {packages}. "
        f"{' to '.join(map(str, dict.fromkeys((rounds[0], rounds[-1]))))} rounds, {minutes:.0f} minutes in all. "
        f"The machine's load when a part began was between {min(loads)} and {max(loads)}.\n"
    )


def images(kept: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each plot's file name and content, of the parts that were measured."""
    drawn: Mapping[str, Callable[[Any], Iterable[tuple[str, str]]]] = {
        "peers": _peers,
        "requests": lambda found: [("requests", plots.bars("Requests and answers, 100 in flight", _requests(found)))],
        "latency": lambda found: [("latency", plots.bars("From publish to handler: half take", _delays(found)))],
        "durable": lambda found: [
            ("conversations", plots.lines("Agents that answer each other", _conversations(found)))
        ],
        "processes": lambda found: [("processes", plots.lines("Processes on one broker", _processes(found)))],
        "bodies": lambda found: [("bodies", plots.lines("Size of the body", _bodies(found)))],
        "backlog": lambda found: [("backlog", _backlog(found))],
    }
    for part, draw in drawn.items():
        if part in kept:
            yield from ((f"{name}.svg", image) for name, image in draw(kept[part]["found"]))


def _peers(found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for work, name in (
        ("publish, 500 in flight", "publish"),
        ("consume", "consume"),
        ("publish, one by one", "one-by-one"),
    ):
        by_name = {who: runs for who, runs in found[work].items() if (work, who) != ("consume", JOURNAL)}
        yield name, plots.bars(f"{work[0].upper()}{work[1:]}", _rate_and_cost(by_name))


def _backlog(found: Any) -> str:
    memory = {INTERLOCK: [(second, held) for second, held in found["memory"]]}
    panel = Lines("seconds since the consumer began", "MiB that the consumer holds", memory, doubling=False)
    return plots.lines(f"{found['count']:,} waiting messages are drained", [panel])


def _rate_and_cost(by_name: Mapping[str, Any]) -> list[Bars]:
    return [
        Bars(axis, {name: [run[what] for run in by_name[name]] for name in _PEERS if name in by_name})
        for axis, what in (
            ("messages per second (more is better)", "rate"),
            ("client's CPU, µs per message (less is better)", "cpu"),
        )
    ]


def _requests(found: Mapping[str, Any]) -> list[Bars]:
    by_name = found["request, 100 in flight"]
    return [
        Bars("answers per second (more is better)", {name: [run["rate"] for run in by_name[name]] for name in by_name}),
        Bars(
            "CPU of both ends, µs per request (less is better)",
            {name: [run["cpu"] for run in by_name[name]] for name in by_name},
        ),
    ]


def _delays(found: Mapping[str, Any]) -> list[Bars]:
    return [
        Bars(
            f"ms, at {work.removeprefix('latency at ')} (less is better)",
            {
                name: [run["p50"] for run in runs]
                for name, runs in by_name.items()
                if median(runs, "rate") > _KEEPS_PACE * float(work.split()[-1].removesuffix("/s").replace(",", ""))
            },
            absent="does not keep the pace",
        )
        for work, by_name in found.items()
    ]


def _conversations(found: Any) -> list[Lines]:
    def panel(up: str, what: str) -> Lines:
        return Lines(
            "conversations in flight",
            up,
            {
                tables.CONTENDERS[contender]: [
                    (row["in_flight"], row[what]) for row in found if row["contender"] == contender
                ]
                for contender in ("interlock", "faststream")
            },
        )

    return [panel("answers per second", "rate"), panel("CPU of both agents, µs per answer", "cpu")]


def _processes(found: Mapping[str, Any]) -> list[Lines]:
    return [
        Lines(
            "processes",
            f"{work}: messages per second, all together",
            {
                name: [(float(key.split()[1]), median(one[name], "rate")) for key, one in _about(found, work)]
                for name in (INTERLOCK, RAW)
            },
        )
        for work in ("publish", "consume")
    ]


def _bodies(found: Mapping[str, Any]) -> list[Lines]:
    return [
        Lines(
            "KiB of text",
            f"{work}: client's CPU, µs per message",
            {
                name: [(float(key.split()[1]), median(one[name], "cpu")) for key, one in _about(found, work)]
                for name in (INTERLOCK, RAW, FASTSTREAM)
            },
        )
        for work in ("publish", "consume")
    ]


def _about(found: Mapping[str, Any], work: str) -> list[tuple[str, Any]]:
    return [(key, by_name) for key, by_name in found.items() if key.startswith(work)]


def main() -> None:
    """Take what was measured, and write the document and its plots."""
    KEPT.mkdir(exist_ok=True)
    for file in sorted(MEASURED.glob("*.json")):
        text = file.read_text("utf-8")
        if json.loads(text)["where"]["quick"]:
            sys.stdout.write(f"{file.relative_to(ROOT)} was measured quickly, and is left where it is\n")
        else:
            (KEPT / file.name).write_text(text, "utf-8")
    kept = results()
    DOCUMENT.write_text(page(DOCUMENT.read_text("utf-8"), kept), "utf-8")
    for name, image in images(kept):
        (KEPT / name).write_text(image, "utf-8")
    sys.stdout.write(f"{DOCUMENT.relative_to(ROOT)} and {KEPT.relative_to(ROOT)}/ are what was measured\n")


if __name__ == "__main__":
    main()
