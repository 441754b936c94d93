"""What MkDocs is told of the documentation: pages from outside docs/, links to them, and the navigation.

The Markdown files are written to be read in the repository; here they become pages without a change to them.
"""

from __future__ import annotations

__all__ = ["on_config", "on_files", "on_page_markdown"]

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[2]
_DOCS = _ROOT / "docs"
_MERMAID = _ROOT / "build" / "tools" / "mermaid.min.js"
_FROM_OUTSIDE: Mapping[str, str] = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "changelog.d/README.md": "changelog-fragments.md",
    "LICENSE": "license.md",
}
_MEASURED = ("performance.md", "faults.md")
_LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)#:]+)(?P<anchor>#[^)]*)?\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the navigation, which follows from the files that there are."""
    config.nav = [
        {"Interlock": [*_FROM_OUTSIDE.values()]},
        {"Tutorial": ["tutorial.md", *_pages("tutorial")]},
        {"How-to": ["how-to/index.md", *_pages("how-to")]},
        {"Reference": ["messages.md", *_pages("reference"), "operations.md"]},
        {"Explanation": ["architecture.md", *_pages("explanation"), *_MEASURED, *_pages("workflows")]},
        {"Decisions": ["decisions/index.md", *_pages("decisions")]},
    ]
    if _MERMAID.is_file():
        config.extra_javascript = [*config.extra_javascript, "javascripts/mermaid.min.js"]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files from outside docs/, and an index of each folder that has none."""
    for source, page in _FROM_OUTSIDE.items():
        text = (_ROOT / source).read_text("utf-8")
        moved = _moved(text) if source.endswith(".md") else f"# {source.capitalize()}\n\n```text\n{text}```\n"
        files.append(File.generated(config, page, content=moved))
    for schema in sorted((_ROOT / "schemas").rglob("*.json")):
        files.append(File.generated(config, str(schema.relative_to(_ROOT)), abs_src_path=str(schema)))
    files.append(File.generated(config, "decisions/index.md", content=_index("Decisions", "decisions", _DECIDED)))
    files.append(File.generated(config, "how-to/index.md", content=_index("How to …", "how-to", "")))
    if _MERMAID.is_file():
        files.append(File.generated(config, "javascripts/mermaid.min.js", abs_src_path=str(_MERMAID)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Turn links that leave docs/ in the repository into links to where their targets are here."""
    depth = page.file.src_uri.count("/")
    return _LINK.sub(lambda match: _relinked(match, depth), markdown)


_DECIDED = "Why things are as they are: half a page each for what somebody could later wonder about.\n\n"


def _pages(folder: str) -> list[str]:
    return [f"{folder}/{file.name}" for file in sorted((_DOCS / folder).glob("*.md"))]


def _index(title: str, folder: str, introduction: str) -> str:
    return f"# {title}\n\n{introduction}" + "".join(
        f"- [{_title(page)}]({Path(page).name})\n" for page in _pages(folder)
    )


def _title(page: str) -> str:
    lines: Iterator[str] = iter((_DOCS / page).read_text("utf-8").splitlines())
    return next(line.removeprefix("# ") for line in lines if line.startswith("# "))


def _moved(markdown: str) -> str:
    """Return a document of the top folder as if it stood in docs/."""
    return _LINK.sub(lambda match: f"{match['before']}../{match['target']}{match['anchor'] or ''})", markdown).replace(
        "](../docs/", "]("
    )


def _relinked(match: re.Match[str], depth: int) -> str:
    target, anchor = match["target"], match["anchor"] or ""
    up = "../" * depth
    if target.startswith(f"{up}../"):
        outside = target.removeprefix(f"{up}../").rstrip("/")
        target = up + _FROM_OUTSIDE.get(outside, outside + "/index.json" if outside == "schemas" else outside)
    elif target.rstrip("/") == f"{up}decisions":
        target = f"{up}decisions/index.md"
    return f"{match['before']}{target}{anchor})"
