"""Imports go downwards only, keys are spelt in one module, files stay short."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from chainlit_dynamodb.storage.clients import CLIENTS

PACKAGE = "chainlit_dynamodb"
SOURCE = Path(__file__).parents[2] / "src" / PACKAGE
FILES = sorted(SOURCE.rglob("*.py"))
MAX_LINES = 400

# What the modules of a part may import of this package.
ALLOWED = {
    "errors": set[str](),
    "dynamodb": {"dynamodb", "errors"},
    "chat": {"chat", "dynamodb", "errors"},
    "storage": {"storage", "errors"},
    "ops": {"ops", "chat", "dynamodb", "storage", "errors"},
    "testing": {"testing", "ops", "chat", "dynamodb", "storage", "errors"},
    "cli": {"cli", "ops", "chat", "errors", ""},
}
STORAGE = sorted((SOURCE / "storage").rglob("*.py"))
STORAGE_CLIENTS = {f"storage.{client.module}" for client in CLIENTS}
SDKS = {"azure", "boto3", "botocore", "google"}
# What they may import of others; `chainlit` here is Chainlit.
FORBIDDEN = {
    "dynamodb": {"chainlit", "boto3"},
    "chat": {"chainlit", "aiohttp", "aiodynamo", "boto3", "botocore", "starlette", "fastapi"},
    "ops": {"chainlit"},
    "cli": {"chainlit"},
}
KEYS = {"PK", "SK", "UserThread", "UserThreadPK", "UserThreadSK"}
PREFIXES = ("USER#", "THREAD#", "STEP#", "ELEMENT#", "FEEDBACK#", "FAVORITE#", "TS#")


def part_of(file: Path) -> str:
    """Give the folder or module right below the package."""
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    """Give the full name of every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} has a relative import"
            yield str(node.module)


def own_imports(file: Path) -> Iterator[str]:
    """Give what a file imports of this package, without the package's name."""
    for name in imports(file):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield name.removeprefix(PACKAGE).removeprefix(".")


def named(file: Path) -> str:
    return str(file.relative_to(SOURCE))


@pytest.mark.parametrize("file", FILES, ids=named)
def test_imports_go_downwards(file: Path) -> None:
    allowed = ALLOWED.get(part_of(file))
    if allowed is not None:
        assert {name.partition(".")[0] for name in own_imports(file)} <= allowed


@pytest.mark.parametrize("file", FILES, ids=named)
def test_no_part_knows_what_it_should_not(file: Path) -> None:
    others = {name.partition(".")[0] for name in imports(file)}
    assert not others & FORBIDDEN.get(part_of(file), set())


def module_of(file: Path) -> str:
    """Return the name of a module as others import it, without the package's name."""
    return ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def client_of(file: Path) -> str | None:
    """Return the storage client that a module is, or is a part of."""
    module = module_of(file)
    return next((client for client in STORAGE_CLIENTS if f"{module}.".startswith(f"{client}.")), None)


@pytest.mark.parametrize("file", STORAGE, ids=named)
def test_nobody_knows_a_storage_client_but_itself(file: Path) -> None:
    known = {
        client for client in STORAGE_CLIENTS for name in own_imports(file) if f"{name}.".startswith(f"{client}.")
    }
    assert known <= {client_of(file)}


@pytest.mark.parametrize("file", STORAGE, ids=named)
def test_what_storage_clients_share_knows_no_sdk(file: Path) -> None:
    if client_of(file) or file.name.startswith("azure_"):
        return
    assert not {name.partition(".")[0] for name in imports(file)} & SDKS


def test_storage_has_no_circle() -> None:
    modules = {module_of(file) for file in STORAGE}
    graph = {module_of(file): modules & set(own_imports(file)) for file in STORAGE}
    list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("file", FILES, ids=named)
def test_keys_are_spelt_in_the_schema_only(file: Path) -> None:
    if named(file) == "chat/schema.py":
        return
    found = [text for text in literals(file) if text in KEYS or text.startswith(PREFIXES)]
    assert found == []


def literals(file: Path) -> Iterator[str]:
    """Give all strings of a file but its docstrings, f-strings in pieces."""
    tree = ast.parse(file.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


@pytest.mark.parametrize("file", FILES, ids=named)
def test_no_file_is_too_long(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_LINES
