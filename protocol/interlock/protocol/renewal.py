"""Makes a recorded conversation a new one: fresh ids, and times that begin now; it sends nothing."""

from __future__ import annotations

__all__ = ["renewed"]

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json

from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message

_ID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})")


def renewed(
    recording: Iterable[Envelope[Any]], *, now: datetime, keep_ids: bool = False, catalogue: Catalogue = CATALOGUE
) -> tuple[Envelope[Message], ...]:
    """Return the messages as if the first were sent now, with the recorded pauses between them.

    Every member that is a moment, deadlines and what payloads hold included, is moved by the same span. Unless
    `keep_ids`, messages and conversations get new ids, and whatever names one of them names the new one: so no inbox
    takes them for duplicates, and no workflow for a conversation that it knows. `traceparent` is left out.
    """
    envelopes = tuple(recording)
    if not envelopes:
        return ()
    span = now - envelopes[0].sent_at
    known = {name for envelope in envelopes for name in (envelope.id, envelope.conversation_id)}
    ids = {} if keep_ids else {name: new_id() for name in sorted(known)}
    return tuple(_renewed(envelope, span, ids, catalogue) for envelope in envelopes)


def _renewed(
    envelope: Envelope[Any], span: timedelta, ids: Mapping[str, str], catalogue: Catalogue
) -> Envelope[Message]:
    members = envelope.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"traceparent"})
    return decode(to_json(_value(members, span, ids)), catalogue=catalogue)


def _value(value: Any, span: timedelta, ids: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {name: _value(member, span, ids) for name, member in value.items()}
        case list():
            return [_value(member, span, ids) for member in value]
        case str() if _MOMENT.fullmatch(value):
            return (datetime.fromisoformat(value) + span).isoformat()
        case str():
            return _ID.sub(lambda found: ids.get(found[0], found[0]), value)
        case _:
            return value
