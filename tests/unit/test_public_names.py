"""What the package says it has is what it has."""

from __future__ import annotations

import ast
import builtins
import inspect
import pkgutil
import re
from importlib import import_module

import pytest

import chainlit_dynamodb
from chainlit_dynamodb import errors

CLASSES = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and kind.__module__ == errors.__name__
}


def _drawn() -> dict[str, str | None]:
    """Read the tree out of the docstring: each class and its parent."""
    path: list[tuple[int, str]] = []
    tree: dict[str, str | None] = {}
    for indent, name in re.findall(r"^( {4,})(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        while path and path[-1][0] >= len(indent):
            path.pop()
        tree[name] = path[-1][1] if path else None
        path.append((len(indent), name))
    return tree


def test_the_errors_drawn_are_the_errors_there_are() -> None:
    assert set(_drawn()) == set(CLASSES)


def test_every_error_is_drawn_below_its_parent() -> None:
    real = {
        name: next((b.__name__ for b in kind.__bases__ if b in CLASSES.values()), None)
        for name, kind in CLASSES.items()
    }
    assert _drawn() == real


@pytest.mark.parametrize(("name", "also"), re.findall(r"(\w+Error) .*; also an? (\w+)", errors.__doc__ or ""))
def test_errors_are_also_what_the_tree_says(name: str, also: str) -> None:
    assert issubclass(CLASSES[name], getattr(builtins, also))


def test_three_errors_have_a_second_base() -> None:
    assert {name for name, kind in CLASSES.items() if len(kind.__bases__) > 1} == {
        "MissingDependencyError",
        "InvalidIdError",
        "CursorError",
    }


def test_every_error_says_what_it_is() -> None:
    assert all(kind.__doc__ for kind in CLASSES.values())


def test_a_missing_package_is_named_with_the_line_that_installs_it() -> None:
    assert str(errors.MissingDependencyError("boto3", "s3")) == (
        "boto3 is not installed. Run: pip install 'chainlit-dynamodb[s3]'"
    )


def test_every_public_name_can_be_had() -> None:
    for name in chainlit_dynamodb.__all__:
        assert callable(getattr(chainlit_dynamodb, name))


def test_the_public_names_are_those_with_a_module_in_order() -> None:
    assert list(chainlit_dynamodb.__all__) == sorted(chainlit_dynamodb._MODULES)


def test_every_public_name_lies_where_the_table_says() -> None:
    for name, module in chainlit_dynamodb._MODULES.items():
        assert getattr(chainlit_dynamodb, name).__module__ == f"chainlit_dynamodb.{module}"


def test_dir_shows_every_public_name() -> None:
    assert set(chainlit_dynamodb.__all__) <= set(dir(chainlit_dynamodb))


def test_type_checkers_see_the_same_names() -> None:
    (block,) = (node for node in ast.parse(inspect.getsource(chainlit_dynamodb)).body if isinstance(node, ast.If))
    imports = [alias for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    imported = {alias.asname or alias.name for alias in imports}
    assert imported == set(chainlit_dynamodb.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = chainlit_dynamodb.Nothing


def test_every_module_has_one_line_on_top() -> None:
    found = pkgutil.walk_packages(chainlit_dynamodb.__path__, "chainlit_dynamodb.")
    quiet = [m.name for m in found if ".demo" not in m.name and ".drop_in" not in m.name]
    assert [name for name in quiet if not (import_module(name).__doc__ or "").strip()] == []
