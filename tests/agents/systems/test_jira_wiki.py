"""What agents write in wiki markup reads the same on Jira Cloud, which knows documents only."""

from __future__ import annotations

from interlock.agents.devops.wiki_markup import plain
from interlock.agents.systems.jira.adf import plain_text
from interlock.agents.systems.jira.wiki import to_document


def nodes(text: str) -> list[dict[str, object]]:
    content = to_document(text)["content"]
    assert isinstance(content, list)
    return content


def test_headings_lists_and_paragraphs_become_nodes() -> None:
    kinds = [node["type"] for node in nodes("h2. Done\n\nAll is well.\n* one\n** two\n# first\nAfter")]
    assert kinds == ["heading", "paragraph", "bulletList", "orderedList", "paragraph"]


def test_monospaced_words_are_marked_as_code() -> None:
    (paragraph,) = nodes("Plan: {{sha256:ab}}")
    assert paragraph["content"] == [
        {"type": "text", "text": "Plan: "},
        {"type": "text", "text": "sha256:ab", "marks": [{"type": "code"}]},
    ]


def test_words_that_were_escaped_are_shown_as_they_were() -> None:
    hostile = "{panel} [~admin] *bold* C:\\temp #1"
    assert plain_text(to_document(f"Reason: {plain(hostile)}")) == f"Reason: {hostile}"


def test_signs_of_verdicts_become_emoji() -> None:
    assert plain_text(to_document("* (/) K1\n* (x) K2")) == "✅ K1\n\n❌ K2"


def test_the_last_line_stays_a_line_of_its_own() -> None:
    assert plain_text(to_document("h2. Done\n\ninterlock-ref: m")).rsplit("\n", 1)[-1] == "interlock-ref: m"
