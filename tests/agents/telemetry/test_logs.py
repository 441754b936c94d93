"""Log lines say which message they are about, for people and for programs."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable
from datetime import datetime

import pytest

from interlock.agents.telemetry.logs import HumanFormatter, JsonFormatter
from interlock.bus.subject import about, subject
from interlock.protocol.ids import new_id

CONVERSATION, MESSAGE = new_id(), new_id()


@pytest.fixture
def written() -> Callable[[logging.Formatter, Callable[[logging.Logger], object]], list[str]]:
    """Return what a logger of its own writes with a formatter."""

    def write(formatter: logging.Formatter, log: Callable[[logging.Logger], object]) -> list[str]:
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger = logging.Logger("interlock.test")
        logger.addHandler(handler)
        log(logger)
        return stream.getvalue().splitlines()

    return write


Written = Callable[[logging.Formatter, Callable[[logging.Logger], object]], list[str]]


def test_for_programs_a_line_is_one_object(written: Written) -> None:
    with about("library-agent", CONVERSATION, MESSAGE, "question"):
        (line,) = written(JsonFormatter(), lambda log: log.warning("tries %s again\nin %.1f s", "it", 0.5))

    entry = json.loads(line)
    assert datetime.fromisoformat(entry.pop("time")).utcoffset() is not None
    assert entry == {
        "level": "warning",
        "logger": "interlock.test",
        "message": "tries it again\nin 0.5 s",
        "agent": "library-agent",
        "conversation": CONVERSATION,
        "messageId": MESSAGE,
        "type": "question",
    }


def test_outside_of_a_message_its_members_are_left_out(written: Written) -> None:
    (line,) = written(JsonFormatter(), lambda log: log.info("taking messages"))

    assert set(json.loads(line)) == {"time", "level", "logger", "message"}


def test_an_exception_is_one_member(written: Written) -> None:
    def fail(log: logging.Logger) -> None:
        try:
            raise ValueError("no such book")
        except ValueError:
            log.exception("failed")

    (line,) = written(JsonFormatter(), fail)

    assert json.loads(line)["exception"].splitlines()[-1] == "ValueError: no such book"


def test_for_people_a_line_ends_with_the_conversation(written: Written) -> None:
    with about("library-agent", CONVERSATION, MESSAGE, "question"):
        (line,) = written(HumanFormatter(), lambda log: log.warning("tries again"))
    (other,) = written(HumanFormatter(), lambda log: log.warning("tries again"))

    assert line.endswith(f"WARNING interlock.test: tries again [{CONVERSATION[-8:]}]")
    assert other.endswith("WARNING interlock.test: tries again")


def test_the_subject_ends_with_its_body() -> None:
    with about("library-agent", CONVERSATION, MESSAGE, "question"):
        with about("library-agent", CONVERSATION, "another", "answer"):
            inner = subject()
        outer = subject()

    assert inner is not None
    assert inner.message_id == "another"
    assert outer is not None
    assert outer.message_id == MESSAGE
    assert subject() is None
