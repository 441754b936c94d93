"""Tables of results, for the terminal and for the documentation alike; it knows no way to measure."""

from __future__ import annotations

__all__ = ["CONTENDERS", "gains", "markdown", "of", "prices"]

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.rounds import Figures, Results, median, ratio

INTERLOCK, RAW, C_CLIENT = "Interlock", "aio-pika", "C client"
PEERS = ("FastStream", "Taskiq", "Dramatiq", "Celery", "pika, blocking")
CONTENDERS = {
    "interlock": "Interlock, inbox and outbox",
    "bare": "Interlock's transport, nothing durable",
    "faststream": "FastStream, nothing durable",
}
"""What durable.py's contenders are called."""


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> str:
    """Return a table whose columns are aligned for those who read it as it stands; after so many words come figures."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]

    def laid_out(line: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if column < words else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        return f"| {' | '.join(cells)} |\n"

    ruler = "|".join(
        f":{'-' * width}-" if column < words else f"-{'-' * width}:" for column, width in enumerate(widths)
    )
    return laid_out(lines[0]) + f"|{ruler}|\n" + "".join(laid_out(line) for line in lines[1:])


def of(part: str, found: Any) -> str:
    """Return what a part of the suite found as a table."""
    special: Mapping[str, Callable[[Any], str]] = {
        "latency": _latency,
        "processes": _processes,
        "durable": _durable,
        "durable-postgresql": _durable,
        "durable-latency": _added,
        "replicas": _replicas,
        "memory": _memory,
        "layers": _layers,
        "backlog": _backlog,
        "start": _start,
    }
    return special.get(part, _compared)(found)


def _compared(found: Results) -> str:
    head = ("work", "contender", "messages/s", "x aio-pika", "CPU µs", "aio-pika/CPU", "MiB")
    return markdown(head, (row for work, by_name in found.items() for row in _rows(work, by_name)), words=2)


def _rows(work: str, by_name: Mapping[str, Sequence[Figures]]) -> Iterable[Sequence[str]]:
    raw = by_name.get(RAW)
    for name, runs in by_name.items():
        yield (
            work,
            name,
            f"{median(runs, 'rate'):,.0f}",
            f"{ratio(runs, raw, 'rate'):.1f}" if raw else "-",
            f"{median(runs, 'cpu'):,.0f}",
            f"{ratio(raw, runs, 'cpu'):.1f}" if raw else "-",
            f"{median(runs, 'memory'):.0f}",
        )


def _latency(found: Results) -> str:
    head = ("pace", "contender", "p50 ms", "x aio-pika", "CPU µs a message", "reached messages/s")
    return markdown(
        head,
        (
            (
                work.removeprefix("latency at "),
                name,
                f"{median(runs, 'p50'):.2f}",
                f"{ratio(runs, by_name[RAW], 'p50'):.2f}" if RAW in by_name else "-",
                f"{median(runs, 'cpu'):,.0f}",
                f"{median(runs, 'rate'):,.0f}",
            )
            for work, by_name in found.items()
            for name, runs in by_name.items()
        ),
        words=2,
    )


def _processes(found: Results) -> str:
    head = ("work", "contender", "messages/s, all together", "x one process", "CPU µs a message", "MiB, all together")
    rows: list[Sequence[str]] = []
    for work, by_name in found.items():
        alone = found[f"{work.split(',')[0]}, 1 processes"]
        rows += [
            (
                work.replace(" 1 processes", " 1 process"),
                name,
                f"{median(runs, 'rate'):,.0f}",
                f"{ratio(runs, alone[name], 'rate'):.2f}",
                f"{median(runs, 'cpu'):.0f}",
                f"{median(runs, 'memory'):.0f}",
            )
            for name, runs in by_name.items()
        ]
    return markdown(head, rows, words=2)


def _durable(found: Any) -> str:
    plain = {row["in_flight"]: row for row in found if row["contender"] == "faststream"}
    head = ("conversations", "contender", "answers/s", "x plain", "CPU µs an answer", "commits an answer")
    rows = sorted(found, key=lambda row: (row["in_flight"], row["contender"]))
    return markdown(
        head,
        (
            (
                f"{row['in_flight']:,}",
                CONTENDERS[row["contender"]],
                f"{row['rate']:,.0f}",
                f"{row['rate'] / plain[row['in_flight']]['rate']:.2f}",
                f"{row['cpu']:,.0f}",
                f"{row['commits']:.2f}" if row["commits"] else "-",
            )
            for row in rows
        ),
        words=2,
    )


def _added(found: Any) -> str:
    """Say how long an answer, which is two messages, takes at a pace, and what durability adds to a message."""
    disk = statistics.median(row["fdatasync"] for row in found)
    took = {row["contender"]: row["p50"] for row in found}
    added = (took["interlock"] - took["bare"]) / 2
    rows = [
        *((f"an answer: {CONTENDERS[contender]}", f"{took[contender]:.2f}") for contender in CONTENDERS),
        ("one fdatasync of this disk", f"{disk:.2f}"),
        ("what durability adds to a message", f"{added:.2f}"),
        ("that is so many fdatasync", f"{added / disk:.1f}"),
    ]
    return markdown(("200 pings a second", "p50 ms"), rows)


def _replicas(found: Any) -> str:
    head = ("store", "processes", "answers/s, all together", "x one process", "CPU µs an answer", "commits an answer")
    names = {"postgresql": "PostgreSQL, replicas of one agent", "sqlite": "SQLite, an agent each"}
    return markdown(
        head,
        (
            (
                names[row["store"]],
                f"{row['processes']:.0f}",
                f"{row['rate']:,.0f}",
                f"{row['ratio']:.2f}",
                f"{row['cpu']:,.0f}",
                f"{row['commits']:.2f}",
            )
            for row in found
        ),
    )


def _memory(found: Any) -> str:
    ours, theirs = found["interlock"], found["faststream"]
    gain = statistics.median(our / their for our, their in zip(ours, theirs, strict=True))
    rows = (
        ("Interlock's memory bus", f"{statistics.median(ours):,.0f}", f"{gain:.0f}"),
        ("FastStream's TestRabbitBroker", f"{statistics.median(theirs):,.0f}", "1"),
    )
    return markdown(("without a broker", "messages per second of CPU", "ratio"), rows)


def _layers(found: Any) -> str:
    return markdown(("layer", "CPU µs a message"), ((name, f"{cost:.1f}") for name, cost in found.items()))


def _backlog(found: Any) -> str:
    seen = [memory for _, memory in found["memory"]]
    settled = seen[len(seen) // 5 :] or [found["drained"]["memory"]]
    rows = [
        ("messages", f"{found['count']:,}"),
        ("published, messages/s", f"{found['published']['rate']:,.0f}"),
        ("drained, messages/s", f"{found['drained']['rate']:,.0f}"),
        ("CPU µs a message drained", f"{found['drained']['cpu']:.0f}"),
        ("the consumer's memory after a fifth of the time, MiB", f"{settled[0]:.1f}"),
        ("at the end, MiB", f"{settled[-1]:.1f}"),
        ("at most, MiB", f"{max(settled):.1f}"),
    ]
    return markdown(("backlog", "figure"), rows)


def _start(found: Any) -> str:
    imports = ((name, f"{one['milliseconds']:.0f}", "-") for name, one in found["imports"].items())
    begun = {**found["agents"], "the whole team of agents": found["team"]["all"]}
    started = ((name, f"{one['milliseconds']:,.0f}", f"{one['own']:.0f}") for name, one in begun.items())
    return markdown(("what is started", "CPU ms", "MiB of its own"), [*imports, *started])


def prices(peers: Results, sqlite: Any, postgresql: Any) -> str:
    """Return what each thing costs that can be left out or chosen, as what is left of the rate and what CPU it adds."""

    def switched(what: str, work: str, name: str) -> Sequence[str]:
        plain, dear = peers[work][INTERLOCK], peers[work][name]
        more = median(dear, "cpu") - median(plain, "cpu")
        return what, work, f"{ratio(dear, plain, 'rate'):.2f}", f"{more:+,.0f}"

    def compared(what: str, in_flight: int, dear: Any, plain: Any) -> Sequence[str]:
        work = f"answers, {in_flight} conversations"
        return what, work, f"{dear['rate'] / plain['rate']:.2f}", f"{dear['cpu'] - plain['cpu']:+,.0f}"

    def row(found: Any, contender: str, in_flight: int) -> Any:
        return next(one for one in found if (one["contender"], one["in_flight"]) == (contender, in_flight))

    works = ("publish, 500 in flight", "consume")
    rows = [
        *(switched("the journal", work, "Interlock, journal on") for work in works[:1]),
        *(switched("the stock client instead of the tap", work, "Interlock by aiormq") for work in works),
        *(
            compared("PostgreSQL instead of SQLite", number, *pair)
            for number in (10, 100)
            for pair in [(row(postgresql, "interlock", number), row(sqlite, "interlock", number))]
        ),
    ]
    return markdown(("what is chosen", "work", "rate, times without it", "CPU µs more"), rows, words=2)


def gains(found: Results) -> str:
    """Return the answers to what a reader asks first: how many times as fast, and with how much less CPU."""
    rows: list[Sequence[str]] = []
    for work, by_name in found.items():
        ours, raw = by_name[INTERLOCK], by_name[RAW]
        # Whoever cannot have several in flight is compared by what it does at best, one by one.
        alone = found["publish, one by one"]
        peers = {name: by_name.get(name) or alone[name] for name in PEERS if name in by_name or name in alone}
        best = max(peers, key=lambda name: median(peers[name], "rate"), default=None)
        ceiling = by_name.get(C_CLIENT)
        rows.append(
            (
                work,
                f"{ratio(ours, raw, 'rate'):.1f}",
                f"{ratio(raw, ours, 'cpu'):.1f}",
                f"{ratio(ours, peers[best], 'rate'):.1f} ({best})" if best else "-",
                f"{ratio(ours, ceiling, 'rate'):.2f}" if ceiling else "-",
            )
        )
    head = (
        "Interlock",
        "rate, times aio-pika's",
        "CPU a message, aio-pika's is times ours",
        "rate, times the best other framework's",
        "rate, times the C client's",
    )
    return markdown(head, rows)
