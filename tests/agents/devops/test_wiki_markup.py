"""Words of others inside a comment are shown, whatever they hold, and never rendered."""

from __future__ import annotations

import pytest

from interlock.agents.devops.wiki_markup import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{code}", r"\{code\}"),
        ("[~admin]", r"\[\~admin\]"),
        ("!http://example.com/x.png!", r"\!http://example.com/x.png\!"),
        ("|| a | b ||", r"\|\| a \| b \|\|"),
    ],
)
def test_markup_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("text", [r"\{color:red}", r"\!http://example.com/x.png\!", r"\[~admin\]"])
def test_a_backslash_does_not_undo_the_escape_of_what_follows_it(text: str) -> None:
    assert "\\\\" not in plain(text)
    assert "&#92;\\" in plain(text)


@pytest.mark.parametrize("text", ["denied\nh1. Approved", "denied\r\n----", "denied\u2028bq. fine"])
def test_nothing_begins_a_line_of_its_own(text: str) -> None:
    assert len(plain(text).splitlines()) == 1
