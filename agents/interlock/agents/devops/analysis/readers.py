"""From the text of one value to typed facts, by topic; a text is read completely or not at all.

Whatever is left over once numbers, names and harmless words are taken out makes the value unreadable: a stray "not",
a range, or a template expression must reach a person, never a specification.
"""

from __future__ import annotations

__all__ = ["FIELDS", "Reading", "UnreadableError", "hours_of", "read"]

import re
from collections.abc import Callable
from decimal import Decimal

from interlock.agents.devops.analysis.vocabulary import FALSE, TRUE, Topic, environment_of, normalised
from interlock.protocol.infrastructure import Budget, DatabaseEngine, StorageType

Reading = tuple[str, object]
"""A field of the specification, by its name on the wire, and its value."""

FIELDS: dict[Topic, tuple[str, ...]] = {
    Topic.PROVIDER: (),
    Topic.ENGINE: ("engine", "engineVersion"),
    Topic.VERSION: ("engineVersion",),
    Topic.INSTANCE: ("instanceClass",),
    Topic.STORAGE: ("storageGb", "storageType"),
    Topic.STORAGE_TYPE: ("storageType",),
    Topic.MULTI_AZ: ("multiAz",),
    Topic.BACKUP: ("backupRetentionDays",),
    Topic.ENCRYPTION: ("encryptionAtRest", "encryptionInTransit"),
    Topic.AT_REST: ("encryptionAtRest",),
    Topic.IN_TRANSIT: ("encryptionInTransit",),
    Topic.PUBLIC: ("publiclyAccessible",),
    Topic.PRIVATE: ("publiclyAccessible",),
    Topic.ENVIRONMENT: ("environment",),
    Topic.REGION: ("region",),
    Topic.VPC: ("vpc",),
    Topic.SECURITY_GROUP: ("securityGroup",),
    Topic.IDENTIFIER: ("identifier",),
    Topic.DATABASE_NAME: ("databaseName",),
    Topic.BUDGET: ("budget",),
    Topic.TIMELINE: (),
}
"""What a value of each topic may decide."""

_ENGINES = {engine.slug: engine for engine in DatabaseEngine} | {"postgres": DatabaseEngine.POSTGRES}
_CURRENCIES = {"$": "USD", "€": "EUR", "£": "GBP", "₩": "KRW", "원": "KRW", "달러": "USD"}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d{1,9})(?:\.\d{1,4})?"
_SIGN = r"[$€£₩]|원|달러|\b(?:USD|EUR|GBP|KRW|JPY)\b"
_REMARK = re.compile(r"\s+\([^()]*\)$")
_SEPARATORS = re.compile(r"[\s,;()/&+]+|(?<=\s)-(?=\s)|\.$")


class UnreadableError(Exception):
    """Raised when a value was given and cannot be understood completely."""


def read(topic: Topic, text: str) -> list[Reading]:
    """Return what the value of a topic decides; the same field twice when the text contradicts itself.

    Raises UnreadableError.
    """
    return _READERS[topic](text.strip())


class _Rest:
    """Text from which known parts are taken until nothing unknown may remain."""

    def __init__(self, text: str) -> None:
        self._text = text

    def take(self, pattern: str) -> list[str]:
        """Remove every match and return each one's group."""
        found = re.findall(pattern, self._text, re.IGNORECASE)
        self._text = re.sub(pattern, " ", self._text, flags=re.IGNORECASE)
        return found

    def finish(self, *harmless: str) -> None:
        """Raise UnreadableError when anything but separators and harmless words is left."""
        words = {word.casefold() for word in _SEPARATORS.split(self._text) if word}
        if words - set(harmless):
            raise UnreadableError


def _given(readings: list[Reading]) -> list[Reading]:
    if not readings:
        raise UnreadableError
    return readings


def _engine(text: str) -> list[Reading]:
    rest = _Rest(text)
    engines = rest.take(r"\b(postgresql|postgres|mysql|mariadb)\b")
    versions = rest.take(r"(?<![\w.])v?(\d{1,2}(?:\.\d{1,2}){0,2})(?![\w.])")
    rest.finish("amazon", "aws", "rds", "for", "version", "버전", "engine", "엔진")
    found: list[Reading] = [("engine", _ENGINES[engine.lower()]) for engine in engines]
    return _given(found) + [("engineVersion", version) for version in versions]


def _version(text: str) -> list[Reading]:
    return _exactly("engineVersion", r"\d{1,2}(?:\.\d{1,2}){0,2}")(text.lower().removeprefix("v"))


def _storage(text: str) -> list[Reading]:
    rest = _Rest(text)
    sizes = rest.take(
        r"(?<![\w.,-])((?:\d{1,3}(?:,\d{3})+|\d{1,6})\s*(?:GiB|GB|G|TiB|TB|T|기가바이트|기가|테라바이트|테라))(?![A-Za-z])"
    )
    types = rest.take(r"\b(gp2|gp3|io1|io2)\b")
    rest.finish("ssd", "ebs", "general", "purpose", "범용")
    found: list[Reading] = [("storageGb", _gigabytes(size)) for size in sizes]
    return _given(found + [("storageType", StorageType(name.lower())) for name in types])


def _gigabytes(size: str) -> int:
    """Return GB as RDS counts them: a terabyte has 1024."""
    digits = int(re.sub(r"\D", "", size))
    return digits * 1024 if re.search("t|테라", size, re.IGNORECASE) else digits


def _storage_gb(text: str) -> list[Reading]:
    return [("storageGb", int(text))] if re.fullmatch(r"\d{1,6}", text, re.ASCII) else _storage(text)


def _storage_type(text: str) -> list[Reading]:
    return _exactly("storageType", "gp2|gp3|io1|io2", StorageType)(text.lower())


def _backup(text: str) -> list[Reading]:
    if normalised(text) in FALSE:
        return [("backupRetentionDays", 0)]
    rest = _Rest(text)
    weeks = rest.take(r"(?<![\w.-])(\d{1,3})\s*(?:weeks?|주)(?:간|일)?(?![A-Za-z])")
    days = rest.take(r"(?<![\w.-])(\d{1,3})(?:\s*-?days?|\s*일(?:간)?|$)(?![A-Za-z])")
    rest.take(r"((?<!\d)\d{1,2}:\d{2}(?!\d))")
    rest.finish(
        "daily", "automated", "automatic", "backup", "backups", "retention", "retained", "keep", "kept", "for", "at",
        "utc",
        "매일", "일일", "자동", "보관", "보존", "동안", "백업",
    )  # fmt: skip
    counts = [int(count) for count in days] + [7 * int(count) for count in weeks]
    return _given([("backupRetentionDays", count) for count in counts])


def _encryption(text: str) -> list[Reading]:
    if normalised(text) in FALSE:
        return [("encryptionAtRest", False), ("encryptionInTransit", False)]
    rest = _Rest(text)
    at_rest = rest.take(r"(at[ -]rest|저장 ?시|저장 데이터)")
    in_transit = rest.take(r"(in[ -]transit|전송 ?중|전송 구간)")
    rest.finish("and", "both", "및", "모두", "과", "와", "암호화", "enabled", "required", "필수")
    found: list[Reading] = [("encryptionAtRest", True) for _ in at_rest]
    return _given(found + [("encryptionInTransit", True) for _ in in_transit])


def _boolean(field: str) -> Callable[[str], list[Reading]]:
    def reader(text: str) -> list[Reading]:
        word = normalised(text.strip("✅❌✔✖️ !"))
        if word not in TRUE | FALSE:
            raise UnreadableError
        return [(field, word in TRUE)]

    return reader


def _private(text: str) -> list[Reading]:
    if normalised(text) in TRUE | {"only", "private", "private only", "프라이빗", "프라이빗만", "전용"}:
        return [("publiclyAccessible", False)]
    raise UnreadableError


def _environment(text: str) -> list[Reading]:
    environment = environment_of(text)
    return _given([("environment", environment)] if environment else [])


def _exactly(field: str, pattern: str, convert: Callable[[str], object] = str) -> Callable[[str], list[Reading]]:
    """Read a value that is this pattern and nothing else, but for a remark in parentheses behind a space."""

    def reader(text: str) -> list[Reading]:
        bare = _REMARK.sub("", text)
        if not re.fullmatch(pattern, bare, re.ASCII):
            raise UnreadableError
        return [(field, convert(bare))]

    return reader


def _budget(text: str) -> list[Reading]:
    rest = _Rest(text)
    rest.take(r"((?:/|per|a|each)\s*(?:month|mo)\b|\bmonthly\b|(?:/\s*)?매?월(?:간)?)")
    before = rest.take(rf"({_SIGN})\s*(?=\d)")
    amounts = rest.take(rf"(?<![\w.,-])({_NUMBER})(?![\d.,%])")
    after = rest.take(rf"({_SIGN})")
    rest.finish("estimated", "budget", "about", "max", "maximum", "up", "to", "약", "최대", "이하", "예산")
    currencies = {_CURRENCIES.get(sign, sign.upper()) for sign in before + after}
    if len(currencies) != 1 or not amounts:
        raise UnreadableError
    return [
        ("budget", Budget(monthly=Decimal(amount.replace(",", "")), currency=currency))
        for amount in amounts
        for currency in currencies
    ]


def hours_of(text: str) -> float | None:
    """Return hours from `4h`, `30 min`, `4시간`; None for anything else."""
    found = re.fullmatch(r"(\d{1,4}(?:\.\d{1,2})?)\s*(h|hrs?|hours?|시간|m|mins?|minutes?|분)", text.strip().lower())
    if found is None:
        return None
    return float(found[1]) / (60 if found[2].startswith(("m", "분")) else 1)


def _nothing(_text: str) -> list[Reading]:
    return []


_NAME = r"[A-Za-z0-9][A-Za-z0-9._/-]{0,254}"
_READERS: dict[Topic, Callable[[str], list[Reading]]] = {
    Topic.PROVIDER: _nothing,
    Topic.ENGINE: _engine,
    Topic.VERSION: _version,
    Topic.INSTANCE: _exactly("instanceClass", r"db\.[a-z0-9]{2,8}\.[a-z0-9]{4,12}"),
    Topic.STORAGE: _storage_gb,
    Topic.STORAGE_TYPE: _storage_type,
    Topic.MULTI_AZ: _boolean("multiAz"),
    Topic.BACKUP: _backup,
    Topic.ENCRYPTION: _encryption,
    Topic.AT_REST: _boolean("encryptionAtRest"),
    Topic.IN_TRANSIT: _boolean("encryptionInTransit"),
    Topic.PUBLIC: _boolean("publiclyAccessible"),
    Topic.PRIVATE: _private,
    Topic.ENVIRONMENT: _environment,
    Topic.REGION: _exactly("region", r"[a-z]{2}(?:-[a-z]+)+-[0-9]"),
    Topic.VPC: _exactly("vpc", _NAME),
    Topic.SECURITY_GROUP: _exactly("securityGroup", _NAME),
    Topic.IDENTIFIER: _exactly("identifier", r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"),
    Topic.DATABASE_NAME: _exactly("databaseName", r"[A-Za-z][A-Za-z0-9_]{0,62}"),
    Topic.BUDGET: _budget,
    Topic.TIMELINE: _nothing,
}
