"""The change as it happens, one line per message on a terminal; it knows no bus.

Whatever tickets and messages contain is shown as text: it reaches the terminal without control characters, and is
never read as markup.
"""

from __future__ import annotations

__all__ = ["Narrator"]

import io
from datetime import datetime
from typing import Any, TextIO

from rich import box
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from interlock.agents.report.folder import ReportFiles
from interlock.agents.report.report import Report
from interlock.agents.report.telling import telling, verdicts
from interlock.agents.report.text import clock_offset, counted, duration, line
from interlock.agents.report.tone import Tone, spoken, tone
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.change import ChangeOutcome
from interlock.protocol.values import CheckVerdict

_OFFSET, _AGENT, _TYPE = 9, 14, 36
"""Widths of the columns, in characters."""
_STYLES = {Tone.REQUEST: "bold", Tone.REPLY: "green", Tone.EVENT: "magenta", Tone.TROUBLE: "bold red"}
_GOOD = frozenset({ChangeOutcome.ACCEPTED})
_OPEN = frozenset({ChangeOutcome.INPUT_REQUIRED, ChangeOutcome.WAITING_FOR_APPROVAL})


class Narrator:
    """Tells one run to people. `stream` is standard output, or standard error where that belongs to JSON.

    Without a terminal there are neither colours nor escape sequences, and no line is cut.
    """

    def __init__(self, stream: TextIO, *, started: datetime, width: int | None = None) -> None:
        """`started` is the moment from which times are counted; `width` in characters, by default the terminal's."""
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
        self._terminal = stream.isatty()
        self._console = Console(
            file=stream,
            force_terminal=self._terminal,
            width=width or (None if self._terminal else 100),
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._started = started

    def note(self, text: str) -> None:
        """Say something about the run itself, e.g. which broker it took."""
        self._print(Text(line(text), style="dim"))

    def state(self, name: str, *, at: datetime) -> None:
        """Say that the change has entered a state."""
        self._print(self._at(at).append(f"● {line(name).replace('_', ' ')}", style="bold cyan"))

    def message(self, envelope: Envelope[Any]) -> None:
        """Say what one agent said to another; presence is passed over."""
        if not spoken([envelope]):
            return
        told = self._at(envelope.sent_at)
        told.append(f"{envelope.sender:>{_AGENT}} ").append("→ ", style="dim").append(f"{envelope.receiver:<{_AGENT}} ")
        told.append(f"{envelope.type:<{_TYPE}} ", style=_STYLES[tone(envelope.payload)])
        told.append(line(telling(envelope.payload)), style="dim")
        self._print(told)

    def summary(self, report: Report, files: ReportFiles) -> None:
        """Say how it ended, and where to read on."""
        facts = Table.grid(padding=(0, 2))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column(overflow="fold")
        facts.add_row(Text("cost"), _cost(report))
        facts.add_row(Text("checks"), _checks(report))
        facts.add_row(Text("time"), Text(_time(report)))
        facts.add_row(Text("ran on"), Text(line(f"{report.broker.kind} {report.broker.version}, {report.engine}")))
        facts.add_row(Text("report"), Text(line(str(files.html))))
        missing = [Text(line(f"  {fact.field}: {fact.question}"), style="yellow") for fact in report.missing]
        reason = Text(line(report.reason))
        colour = _colour(report.outcome)
        heading = Text(f" {line(report.jira_issue)} {report.outcome.value.replace('_', ' ')} ", style=f"bold {colour}")
        self._console.print(
            Panel(
                Group(reason, *missing, Text(), facts),
                title=heading,
                title_align="left",
                border_style=colour,
                box=box.ROUNDED,
            )
        )

    def _at(self, moment: datetime) -> Text:
        offset = clock_offset((moment - self._started).total_seconds())
        return Text().append(f"{offset:>{_OFFSET}}  ", style="dim")

    def _print(self, text: Text) -> None:
        text.rstrip()
        if self._terminal:
            self._console.print(text, no_wrap=True, overflow="ellipsis")
        else:
            self._console.print(text, soft_wrap=True)


def _colour(outcome: ChangeOutcome) -> str:
    return "green" if outcome in _GOOD else "yellow" if outcome in _OPEN else "red"


def _cost(report: Report) -> Text:
    estimate = report.estimate
    if estimate is None:
        return Text("not estimated")
    budget = f" of {estimate.budget.monthly} {estimate.budget.currency} budgeted" if estimate.budget else ", no budget"
    unpriced = f"; {counted(len(estimate.unpriced), 'line')} without a price" if estimate.unpriced else ""
    style = "red" if estimate.over_budget else ""
    return Text(f"{estimate.monthly} {estimate.currency} a month{budget}{unpriced}", style=style)


def _checks(report: Report) -> Text:
    failed = any(check.verdict is CheckVerdict.FAIL for check in report.checks)
    return Text(verdicts(report.checks) or "none reported", style="red" if failed else "")


def _time(report: Report) -> str:
    times = report.durations
    return f"{duration(times.flow)}, {duration(times.waiting_for_people)} of it waiting for people"
