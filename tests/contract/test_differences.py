"""`docs/differences.md` names tests that exist, and every test on the built-in layers is in it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "differences.md"
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def names_in(file: Path) -> set[tuple[str, str]]:
    """Give the names of the tests of a file."""
    tree = ast.parse(file.read_text())
    functions = (node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    return {(file.name, node.name) for node in functions if node.name.startswith("test_")}


def test_every_test_that_is_named_exists() -> None:
    existing = set().union(*(names_in(file) for file in HERE.glob("test_*.py")))
    assert set(NAMED.findall(PAGE.read_text())) <= existing


def test_every_bug_that_is_shown_is_named() -> None:
    shown = set().union(*(names_in(file) for file in HERE.glob("test_builtin_*.py")))
    assert shown <= set(NAMED.findall(PAGE.read_text()))


def test_every_numbered_bug_is_in_the_table() -> None:
    page = PAGE.read_text()
    assert all(f"| B{number} |" in page for number in range(1, 40))
