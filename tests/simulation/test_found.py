"""Stories that once broke an invariant, kept as plans; docs/simulation.md says what each has found, and where."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import pytest

from chainlit_dynamodb.testing.simulation.__main__ import main
from chainlit_dynamodb.testing.simulation.drawing import draw_plan
from chainlit_dynamodb.testing.simulation.plan import Plan
from chainlit_dynamodb.testing.simulation.plan_text import from_json, to_json
from chainlit_dynamodb.testing.simulation.story import Outcome, tell

FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))
DOCUMENT = Path(__file__).parents[2] / "docs/simulation.md"
each = pytest.mark.parametrize("file", FOUND, ids=lambda file: file.stem)


def plan_in(file: Path) -> Plan:
    return from_json(file.read_text())


@cache
def told(file: Path) -> Outcome:
    return tell(plan_in(file))


@each
def test_a_story_that_was_found_breaks_nothing_any_more(file: Path) -> None:
    assert told(file).findings == []


@each
def test_what_befell_it_still_befalls_it(file: Path) -> None:
    assert frozenset(told(file).struck) == plan_in(file).only


@each
def test_it_is_told_in_the_document(file: Path) -> None:
    assert f"`{file.stem}`" in DOCUMENT.read_text()


@pytest.mark.parametrize("seed", range(100))
def test_a_plan_survives_its_text(seed: int) -> None:
    plan = draw_plan(seed)
    assert from_json(to_json(plan)) == plan


@each
def test_the_text_of_a_plan_is_always_the_same(file: Path) -> None:
    assert to_json(plan_in(file)) == file.read_text()


def test_what_is_no_plan_is_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        from_json(to_json(draw_plan(0)).replace('"seed"', '"colour"'))


def test_a_saved_plan_tells_the_same_story(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stories = []
    for options in (["--seed", "3", "--save", str(tmp_path / "plan.json")], ["--plan", str(tmp_path / "plan.json")]):
        monkeypatch.setattr(sys, "argv", ["simulation", *options])
        assert main() == 0
        stories.append(capsys.readouterr().out)
    assert stories[0].startswith("seed 3\n")
    assert stories[0] == stories[1]
