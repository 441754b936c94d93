"""What reaches standard output, standard error and the shell."""

from __future__ import annotations

import json

import pytest
import typer

from interlock.agents.cli.output import ExitCode, Output, harmless, reporting
from interlock.protocol.errors import InterlockError, PermanentError, TransientError, UsageError


def test_terminal_sequences_and_overrides_become_visible() -> None:
    assert harmless("\x1b[2Ja\u202eb\r\n\x9b") == r"\x1b[2Ja\u202eb\r\n\x9b"


def test_undecodable_bytes_of_file_names_become_visible() -> None:
    assert harmless(b"\xff.json".decode("utf-8", "surrogateescape")) == r"\udcff.json"


def test_printable_text_of_every_script_stays() -> None:
    assert harmless("프로덕션 데이터베이스 → 100ms [bold]") == "프로덕션 데이터베이스 → 100ms [bold]"


def test_people_read_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    output.say("[red]one[/red]\ntwo\x1b[0m")
    output.document({"ignored": True})
    assert capsys.readouterr() == ("[red]one[/red]\ntwo\\x1b[0m\n", "")


def test_with_json_programs_read_standard_output_and_people_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.say("for people")
    output.document({"title": "한국어\x1b"})
    output.document({"second": "never"})
    out, err = capsys.readouterr()
    assert json.loads(out) == {"title": "한국어\x1b"}
    assert out.isascii()
    assert err == "for people\n"


def test_columns_are_aligned_by_what_is_seen_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).table(("NAME", "ID"), [("한국", "x" * 100), ("abc\n", "y")])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["NAME   ID", "한국   " + "x" * 100, "abc\\n  y"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("wrong option"), ExitCode.USAGE),
        (TransientError("later"), ExitCode.FAILURE),
        (PermanentError("never"), ExitCode.FAILURE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ExceptionGroup("tasks", [ExceptionGroup("inner", [UsageError("wrong option")])]), ExitCode.USAGE),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: BaseException, code: ExitCode) -> None:
    with pytest.raises(typer.Exit) as caught, reporting(as_json=False):
        raise error
    assert caught.value.exit_code == code


def test_an_error_is_one_line_for_people_and_a_document_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), reporting(as_json=True):
        raise UsageError("two\nlines")
    out, err = capsys.readouterr()
    assert json.loads(out) == {"error": {"kind": "UsageError", "message": "two\nlines"}}
    assert err == "UsageError: two\\nlines\n"


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), ExceptionGroup("tasks", [UsageError("expected"), ZeroDivisionError()])]
)
def test_defects_are_not_dressed_up_as_errors(error: Exception) -> None:
    with pytest.raises(type(error)), reporting(as_json=False):
        raise error


def test_after_a_document_an_error_adds_no_second_one(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=True)
    output.document([1])
    output.fail(InterlockError("late"))
    assert json.loads(capsys.readouterr().out) == [1]
