"""What lies outside: other engines, other clouds, and tasks that ask for no database at all."""

from __future__ import annotations

__all__ = ["Unsupported", "outside"]

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from interlock.agents.devops.analysis.document import Line
from interlock.agents.devops.analysis.facts import Fact, mentions_of
from interlock.agents.devops.analysis.vocabulary import Topic

_ENGINES = {
    "Oracle": r"\boracle\b|오라클",
    "SQL Server": r"\bsql[ -]?server\b|\bmssql\b",
    "Aurora": r"\baurora\b|오로라",
    "Db2": r"\bdb2\b",
    "DynamoDB": r"\bdynamo\s?db\b",
    "DocumentDB": r"\bdocument\s?db\b",
    "MongoDB": r"\bmongo\s?db\b|몽고\s?DB",
    "Redis": r"\bredis\b|\bvalkey\b|\belasticache\b|레디스",
    "Cassandra": r"\bcassandra\b",
    "Redshift": r"\bredshift\b",
}
_CLOUDS = {
    "Google Cloud": r"\bgcp\b|\bgoogle cloud\b|\bcloud ?sql\b|구글 클라우드",
    "Azure": r"\bazure\b|애저",
}
_SUPPORTED = re.compile(r"\b(?:postgres(?:ql)?|mysql|mariadb)\b", re.IGNORECASE)
_DATABASE = re.compile(r"\b(?:database|db|rds|postgres(?:ql)?|mysql|mariadb)\b|데이터베이스|디비", re.IGNORECASE)
_TELLING = {"engine", "engineVersion", "instanceClass", "storageGb"}


@dataclass(frozen=True, slots=True)
class Unsupported:
    """The task cannot be done here, whatever is answered."""

    code: str
    """`unsupported_engine`, `unsupported_cloud` or `not_a_database`."""
    reason: str


def outside(
    summary: str, lines: Sequence[Line], labels: Iterable[str], *, facts: Sequence[Fact], answer: str | None
) -> Unsupported | None:
    """Return why the task lies outside, or None. `answer` is what people gave for the engine."""
    mentions = list(mentions_of(lines))
    engines = [answer] if answer else [mention.value for mention in mentions if mention.topic is Topic.ENGINE]
    clouds = engines + [mention.value for mention in mentions if mention.topic is Topic.PROVIDER]
    named = " ".join(engines) or summary
    if cloud := _first(_CLOUDS, f"{' '.join(clouds)} {'' if engines else summary}"):
        return Unsupported("unsupported_cloud", f"{cloud} is not supported; databases are provisioned on AWS only")
    engine = _first(_ENGINES, named)
    if engine and (engine == "Aurora" or not _SUPPORTED.search(named)):
        return Unsupported("unsupported_engine", f"{engine} is not supported; choose PostgreSQL, MySQL or MariaDB")
    told = any(fact.field in _TELLING and fact.value is not None for fact in facts)
    if not told and not engines and not _DATABASE.search(" ".join([summary, *labels])):
        return Unsupported("not_a_database", "the ticket asks for no database; only databases are provisioned")
    return None


def _first(patterns: dict[str, str], text: str) -> str | None:
    return next((name for name, pattern in patterns.items() if re.search(pattern, text, re.IGNORECASE)), None)
