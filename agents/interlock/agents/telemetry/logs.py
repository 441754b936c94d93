"""Writes log lines for people or for programs, each with the message that it is about; it logs nothing itself.

Lines hold what the loggers say: identifiers and reasons, never a payload. `traceback` holds code, and no values.
"""

from __future__ import annotations

__all__ = ["HumanFormatter", "JsonFormatter", "configure"]

import json
import logging
import traceback
from datetime import UTC, datetime

from opentelemetry import trace

from interlock.agents.telemetry.settings import LoggingSettings
from interlock.bus.subject import subject

_SHORT = 8
"""Digits of a conversation id that people can tell apart; the last ones, since the first are the time."""


class HumanFormatter(logging.Formatter):
    """One line: when, how bad, who, about which conversation, what."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, with the conversation in brackets where there is one."""
        line = super().formatMessage(record)
        about = subject()
        return f"{line} [{about.conversation_id[-_SHORT:]}]" if about is not None else line


class JsonFormatter(logging.Formatter):
    """One JSON object per line, also for an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object; members that do not apply are left out."""
        members: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        about = subject()
        if about is not None:
            members |= {
                "agent": about.agent,
                "conversation": about.conversation_id,
                "messageId": about.message_id,
                "type": about.type,
            }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            members |= {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"}
        if record.exc_info and record.exc_info[1] is not None:
            members["exception"] = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return json.dumps(members, ensure_ascii=False)


def configure(settings: LoggingSettings) -> None:
    """Have everything that this process logs written to standard error in this way. Called again, it replaces."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.format == "json" else HumanFormatter())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the steps of a fresh store look like trouble to newcomers
