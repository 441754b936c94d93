"""Each promise names tests that exist, and no promise goes without."""

from __future__ import annotations

import ast
import re

import pytest

from docs.snippets import ROOT

GUARANTEES = (ROOT / "docs" / "reference" / "guarantees.md").read_text()
PROMISED = GUARANTEES.partition("## What is promised")[2].partition("## What is not promised")[0]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", GUARANTEES)


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_the_test_that_stands_for_a_promise_exists(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text())

    assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_names_tests() -> None:
    promises = re.split(r"(?m)^\*\*\d+\. ", PROMISED)[1:]

    assert len(promises) == 8
    for promise in promises:
        assert "`tests/" in promise, promise[:60]
