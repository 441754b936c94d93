"""What a command says, where, and with which exit code; it knows no command.

People's text goes to standard output. With `--json` standard output is exactly one JSON document, and people's text
goes to standard error. Nothing that came from outside reaches the terminal unescaped.
"""

from __future__ import annotations

__all__ = ["ExitCode", "Output", "harmless", "reporting"]

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import typer

from interlock.protocol.errors import InterlockError, UsageError

if TYPE_CHECKING:
    from rich.console import Console


class ExitCode(IntEnum):
    """What a command tells the shell; stable, so that scripts may rely on it."""

    OK = 0
    """Done."""
    FAILURE = 1
    """It failed; also: something is not valid, refused, or differs."""
    USAGE = 2
    """Wrong arguments or settings; nothing was tried."""
    ENDED_OTHERWISE = 3
    """In good order, but not with what was asked for: declined, expired, waiting for input or approval."""
    INTERRUPTED = 130
    """By Ctrl-C."""


def harmless(text: str) -> str:
    """Return the text with everything that is not printable escaped, line breaks included.

    Terminal sequences, bidirectional overrides and undecodable bytes of file names become visible `\\x1b`.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Output:
    """Where one run of a command writes."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._documented = False

    def __repr__(self) -> str:
        return f"Output(as_json={self._as_json})"

    @cached_property
    def _people(self) -> Console:
        return _console(stderr=self._as_json)

    @cached_property
    def _notes(self) -> Console:
        return _console(stderr=True)

    @property
    def as_json(self) -> bool:
        """Whether a program reads standard output."""
        return self._as_json

    def say(self, text: str, *, style: str | None = None) -> None:
        """Write a result for people; line breaks stay, everything else that is not printable is escaped."""
        for line in text.split("\n"):
            self._people.print(harmless(line), style=style)

    def note(self, text: str) -> None:
        """Write something beside the result, always to standard error."""
        self._notes.print(harmless(text))

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write aligned columns; nothing is cut off, so that what is shown can be copied."""
        from rich.cells import cell_len  # as above

        shown = [[harmless(cell) for cell in row] for row in rows]
        widths = [max(map(cell_len, column)) for column in zip(headings, *shown, strict=True)]
        self._people.print(_aligned(headings, widths), style="bold")
        for row in shown:
            self._people.print(_aligned(row, widths))

    def document(self, value: object) -> None:
        """Write the one JSON document; does nothing unless `--json` was given."""
        if self._as_json and not self._documented:
            self._documented = True
            sys.stdout.write(json.dumps(value, indent=2) + "\n")
            sys.stdout.flush()

    def line(self, value: object) -> None:
        """Write one line of JSON, for commands whose result is a stream."""
        self._documented = True
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()

    def fail(self, error: InterlockError) -> None:
        """Report an error: one line for people, and the JSON document unless there is one already."""
        self._notes.print(f"{type(error).__name__}: {harmless(str(error))}", style="red")
        self.document({"error": {"kind": type(error).__name__, "message": str(error)}})


@contextmanager
def reporting(*, as_json: bool) -> Generator[Output]:
    """Give a command its output, and turn what it raises on purpose into one line and an exit code.

    UsageError gives 2, every other InterlockError 1, an interrupt 130. A file or folder that the system does not let us
    use gives 2, with its name. Defects of the program itself pass through.
    """
    output = Output(as_json=as_json)
    try:
        yield output
    except InterlockError as error:
        output.fail(error)
        raise typer.Exit(_exit_code(error)) from error
    except OSError as error:
        if error.filename is None:
            raise
        output.fail(_unusable(error))
        raise typer.Exit(ExitCode.USAGE) from error
    except BaseExceptionGroup as group:
        found = _only_error(group)
        if found is None:
            raise
        output.fail(found)
        raise typer.Exit(_exit_code(found)) from group
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from interrupt


def _exit_code(error: InterlockError) -> ExitCode:
    return ExitCode.USAGE if isinstance(error, UsageError) else ExitCode.FAILURE


def _only_error(group: BaseExceptionGroup[BaseException]) -> InterlockError | None:
    """Return the first error of a group of tasks, unless something else went wrong as well."""
    expected, other = group.split((InterlockError, OSError))
    leaf: BaseException | None = expected if other is None else None
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, OSError) and leaf.filename is not None:
        return _unusable(leaf)
    return leaf if isinstance(leaf, InterlockError) else None


def _unusable(error: OSError) -> UsageError:
    return UsageError(f"{error.filename} cannot be used: {error.strerror}")


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # not for who only reads the help, nor in an agent's process

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    from rich.cells import cell_len  # as above

    padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
