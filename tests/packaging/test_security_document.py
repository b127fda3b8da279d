"""docs/security.md names every method of the face, limits as they are, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chainlit.data.base import BaseDataLayer

from chainlit_dynamodb import limits

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/security.md").read_text()
FACE = sorted(name for name in vars(BaseDataLayer) if not name.startswith("_"))


def named() -> list[tuple[str, str]]:
    """Give file and name of each test; one without a file is in the file before it."""
    found, file = [], ""
    for path, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(test_\w+))?`", DOCUMENT):
        file = path or file
        found += [(file, test)] if path or test else []
    return found


def test_it_names_many_tests() -> None:
    assert len(named()) > 40


@pytest.mark.parametrize(("file", "test"), named())
def test_a_test_it_names_exists(file: str, test: str) -> None:
    source = (ROOT / file).read_text()
    assert not test or f"def {test}(" in source


@pytest.mark.parametrize("method", FACE)
def test_each_method_of_the_face_has_its_line(method: str) -> None:
    methods = re.findall(
        r"`(\w+)`", " ".join(line.split("|")[1] for line in DOCUMENT.splitlines() if line[:3] == "| `")
    )
    assert method in methods


@pytest.mark.parametrize(
    "number",
    [limits.NAME_CHARS, limits.SEARCH_CHARS, limits.COMMENT_CHARS, limits.TAGS, limits.ELEMENTS_PER_MESSAGE],
)
def test_limits_are_as_it_says(number: int) -> None:
    assert f"{number:,}" in DOCUMENT
