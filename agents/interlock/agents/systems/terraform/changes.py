"""Plans and states of `terraform show -json` as typed changes for people; a sensitive value never gets out of here.

Terraform's marks alone are not enough: a provider may copy a sensitive argument into an attribute that is not marked.
So whatever quotes a marked value is hidden as well. Source: Terraform's JSON output format 1.x.
"""

from __future__ import annotations

__all__ = ["applied_resources", "changes_of"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, cast

from interlock.protocol.messages.provisioning import AppliedResource, PropertyChange, ResourceChange

_SENSITIVE = "(sensitive)"
_UNKNOWN = "(known after apply)"
_LIMIT = 200
_SHORTEST_SECRET = 4
_UNSAFE = re.compile(r"[^A-Za-z0-9._/-]+")
_INVISIBLE = re.compile(r"[^\x20-\x7e\xa0-\u1fff\u2070-\ud7ff\uf900-\ufefe\uff00-\uffee]")

Action = Literal["create", "update", "replace", "destroy", "none"]


def changes_of(plan: Mapping[str, Any]) -> tuple[ResourceChange, ...]:
    """Return every managed resource of a plan with what would happen to it, in the plan's order.

    Both orders of delete and create are a replacement: either way the old resource is destroyed.
    """
    managed = tuple(item for item in plan.get("resource_changes", ()) if item["mode"] == "managed")
    secrets = frozenset(
        secret
        for item in managed
        for side in ("before", "after")
        for secret in _marked_texts(item["change"].get(side), item["change"].get(f"{side}_sensitive"))
    )
    return tuple(
        ResourceChange(
            address=_identifier(item["address"]),
            action=_action(item["change"]["actions"]),
            properties=tuple(_properties(item["change"], secrets)),
        )
        for item in managed
    )


def applied_resources(state: Mapping[str, Any]) -> tuple[AppliedResource, ...]:
    """Return every managed resource of a state, as it was read back."""
    resources = tuple(_resources(state.get("values", {}).get("root_module", {})))
    secrets = frozenset(
        secret for item in resources for secret in _marked_texts(item["values"], item.get("sensitive_values"))
    )
    return tuple(_applied(item, secrets) for item in resources if item["mode"] == "managed")


def _applied(item: Mapping[str, Any], secrets: frozenset[str]) -> AppliedResource:
    values = cast("Mapping[str, Any]", item["values"])
    sensitive = item.get("sensitive_values", {})
    return AppliedResource(
        address=_identifier(item["address"]),
        id=_text(values.get("arn") or values.get("id") or item["address"]),
        properties={
            _identifier(name): text
            for name, value in sorted(values.items())
            if (text := _shown(value, secrets, sensitive=_marked(sensitive, name))) is not None
        },
    )


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _resources(child)


def _action(actions: Sequence[str]) -> Action:
    match sorted(actions):
        case ["create", "delete"]:
            return "replace"
        case ["create"]:
            return "create"
        case ["update"]:
            return "update"
        case ["delete"]:
            return "destroy"
        case _:
            return "none"


def _properties(change: Mapping[str, Any], secrets: frozenset[str]) -> Iterator[PropertyChange]:
    before, after = _mapping(change.get("before")), _mapping(change.get("after"))
    unknown = change.get("after_unknown")
    for name in sorted({*before, *after, *_mapping(unknown)}):
        coming = _marked(unknown, name)
        if before.get(name) == after.get(name) and not coming:
            continue
        hidden = _marked(change.get("after_sensitive"), name)
        yield PropertyChange(
            name=_identifier(name),
            before=_shown(before.get(name), secrets, sensitive=_marked(change.get("before_sensitive"), name)),
            after=_UNKNOWN if coming and not hidden else _shown(after.get(name), secrets, sensitive=hidden),
        )


def _shown(value: object, secrets: frozenset[str], *, sensitive: bool) -> str | None:
    """Return a property for people, None when it is null. Truncated only after it was searched for secrets."""
    if sensitive or any(secret in text for text in _texts(value) for secret in secrets):
        return _SENSITIVE
    if value is None:
        return None
    return _text(value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False))


def _marked_texts(value: object, marks: object) -> Iterator[str]:
    """Yield every text within a value that Terraform marks, but those too short to be told from ordinary words."""
    if marks is True:
        yield from (text for text in _texts(value) if len(text) >= _SHORTEST_SECRET)
    elif isinstance(marks, Mapping):
        for name, inner in cast("Mapping[str, object]", marks).items():
            yield from _marked_texts(_mapping(value).get(name), inner)
    elif isinstance(marks, list) and isinstance(value, list):
        for element, inner in zip(cast("list[object]", value), cast("list[object]", marks), strict=False):
            yield from _marked_texts(element, inner)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in cast("Mapping[str, object]", value).items():
            yield name
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _texts(inner)


def _text(value: object) -> str:
    text = _INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", str(value))
    return (text if len(text) <= _LIMIT else f"{text[: _LIMIT - 1]}…") or '""'


def _identifier(address: str) -> str:
    return _UNSAFE.sub(".", address).strip(".")[:255]


def _marked(marks: object, name: str) -> bool:
    """Return whether Terraform marks a property, or anything within it."""
    return marks is True or _any(_mapping(marks).get(name))


def _any(mark: object) -> bool:
    if isinstance(mark, Mapping):
        return any(_any(inner) for inner in cast("Mapping[str, object]", mark).values())
    if isinstance(mark, list):
        return any(_any(inner) for inner in cast("list[object]", mark))
    return mark is True


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}
