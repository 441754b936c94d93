"""HTML and SVG that is escaped by construction: text given as `str` is text, only elements are markup."""

from __future__ import annotations

__all__ = ["Markup", "element", "fragment"]

import html

from interlock.agents.report.text import visible

_VOID = frozenset({"br", "img", "meta"})


class Markup(str):
    """Text that is markup already; made by this module's functions, never from outside data."""

    __slots__ = ()


Child = str | None
Attribute = str | float | bool | None


def element(tag: str, *children: Child, **attributes: Attribute) -> Markup:
    """Return an element; None among the children is left out.

    A trailing underscore in an attribute's name is dropped (`class_`), others become hyphens; None and False leave the
    attribute out, True gives it without a value.
    """
    opening = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{opening}>")
    return Markup(f"<{tag}{opening}>{fragment(*children)}</{tag}>")


def fragment(*children: Child) -> Markup:
    """Return the children one after the other."""
    return Markup("".join(_escaped(child) for child in children if child is not None))


def _escaped(text: str) -> str:
    return text if isinstance(text, Markup) else html.escape(visible(text))


def _attribute(name: str, value: Attribute) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(visible(str(value)))}"'
