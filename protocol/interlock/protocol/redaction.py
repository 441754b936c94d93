"""Takes out of messages what must not leave the machine; the same messages always come out the same.

By contract no secret value travels in a message. Recordings are kept and handed around, so what looks like one is
taken out all the same. It knows shapes of secrets, not of messages.
"""

from __future__ import annotations

__all__ = ["REDACTED", "Redaction"]

import re
from collections.abc import Iterable
from typing import Any

from pydantic_core import to_json

from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, UsageError
from interlock.protocol.message import Message

REDACTED = "redacted"
"""What stands in place of a secret; a word that passes as a name, so that the message stays one."""

_SECRET_NAMES = frozenset(
    {
        *("password", "passwd", "pwd", "passphrase", "secret", "token", "credential", "credentials", "authorization"),
        *("cookie", "api key", "access key", "private key", "secret key", "signing key", "connection string"),
    }
)
"""How the names of members end whose values are taken out; `secretName` and `secrets` are references, and stay."""

_JOINED = frozenset(name.replace(" ", "") for name in _SECRET_NAMES)
"""The same where somebody writes them as one word."""

_SECRET_VALUES = re.compile(
    r"(?P<key>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z))"
    r"|(?P<login>(?<=://)[^/\s:@]*:\S+(?=@))"
    r"|(?P<header>(?<=\bBearer )[\w.~+/-]{8,}=*)"
    r"|(?P<jwt>\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
    r"|(?P<aws>\b(?:AKIA|ASIA)[A-Z0-9]{16}\b)"
    r"|(?P<github>\b(?:gh[opsur]_\w{20,}|github_pat_\w{20,}))"
    r"|(?P<slack>\bxox[abeoprs]-[\w-]{10,})"
    r"|(?P<setting>(?<=\bpassword=)[^\s&]+|(?<=\bpasswd=)[^\s&]+|(?<=\bpwd=)[^\s&]+)",
    re.DOTALL,
)
_MAIL = re.compile(r"(?<![\w.+/-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}\b")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Redaction:
    """One rule for all messages of a recording.

    Taken out are the values of members whose name ends like a secret's (`password`, `apiKey`, …), and within any text
    private keys, logins in URLs, bearer tokens and the well-known shapes of AWS, GitHub, Slack and JSON web tokens.
    E-mail addresses become `person-1@example.com`, `person-2@…`, in the order of their first appearance; given `words`,
    in any case of letters, become `redacted-1`, `redacted-2`, …, in the order in which they are given. So who is the
    same stays the same, and a redacted recording still replays.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        """`words` are names or phrases of one's own that must not be shown. Raises UsageError for an empty one."""
        self._words = tuple(words)
        if "" in self._words:
            raise UsageError("an empty word cannot be redacted")
        numbered = sorted(enumerate(self._words, start=1), key=lambda each: len(each[1]), reverse=True)
        groups = "|".join(f"(?P<word{number}>{re.escape(word)})" for number, word in numbered)
        self._pattern = re.compile(groups, re.IGNORECASE) if self._words else None

    def __repr__(self) -> str:
        return f"Redaction(words={len(self._words)})"

    def apply(
        self, envelopes: Iterable[Envelope[Any]], *, catalogue: Catalogue = CATALOGUE
    ) -> tuple[Envelope[Message], ...]:
        """Return the messages without what must not be shown.

        Raises UsageError when one would be no message any more, e.g. because a word is a part of an issue's key.
        """
        people: dict[str, str] = {}
        return tuple(self._redacted(envelope, people, catalogue) for envelope in envelopes)

    def _redacted(self, envelope: Envelope[Any], people: dict[str, str], catalogue: Catalogue) -> Envelope[Message]:
        members = envelope.model_dump(mode="json", by_alias=True, exclude_none=True)
        members["payload"] = self._value(members["payload"], people)
        try:
            return decode(to_json(members), catalogue=catalogue, upcast=False)
        except InvalidMessageError as error:
            raise UsageError(
                f"without what is to be redacted, {envelope.type} {envelope.id} is no message any more: "
                f"{error.path or 'message'}: {error.reason}; redact another word, or edit the recording by hand"
            ) from error

    def _value(self, value: Any, people: dict[str, str]) -> Any:
        match value:
            case dict():
                return {
                    self._text(name, people): _taken_out(member) if _is_secret(name) else self._value(member, people)
                    for name, member in value.items()
                }
            case list():
                return [self._value(member, people) for member in value]
            case str():
                return self._text(value, people)
            case _:
                return value

    def _text(self, text: str, people: dict[str, str]) -> str:
        text = _SECRET_VALUES.sub(REDACTED, text)
        text = _MAIL.sub(lambda mail: people.setdefault(mail[0].casefold(), _person(len(people) + 1)), text)
        if self._pattern is not None:
            text = self._pattern.sub(lambda found: f"{REDACTED}-{str(found.lastgroup).removeprefix('word')}", text)
        return text


def _person(number: int) -> str:
    return f"person-{number}@example.com"


def _is_secret(name: str) -> bool:
    words = [word.lower() for word in _WORD.findall(name)]
    while words and words[-1].isdigit():
        words.pop()
    last, last_two = " ".join(words[-1:]), " ".join(words[-2:])
    if last in {"secrets", "credentials"}:
        return last in _SECRET_NAMES
    return any(form in _SECRET_NAMES or form in _JOINED for form in (last, last.removesuffix("s"), last_two))


def _taken_out(value: Any) -> Any:
    """Return the same shape without its texts and numbers."""
    match value:
        case dict():
            return {name: _taken_out(member) for name, member in value.items()}
        case list():
            return [_taken_out(member) for member in value]
        case str():
            return REDACTED
        case bool() | None:
            return value
        case _:
            return 0
