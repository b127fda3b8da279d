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

# What the modules of a part may import of this package, from the ground up.
ALLOWED = {
    "errors": set[str](),
    "schema": {"errors"},
    "log_lines": set[str](),
    "dynamodb": {"dynamodb", "errors", "log_lines", "unheard"},
    "secret_file": {"errors"},
    "unheard": set[str](),
    "ciphers": {"ciphers", "dynamodb", "secret_file", "errors", "log_lines"},
    "rows": {"rows", "ciphers", "dynamodb", "schema", "errors"},
    "chat": {"chat", "limits", "rows", "dynamodb", "schema", "errors", "unheard"},
    "storage": {"storage", "secret_file", "errors", "log_lines", "unheard"},
    "session": {"chat", "errors"},
    "patience": {"session", "errors", "unheard"},
    "decorators": {"patience", "session", "errors"},
    "server_stop": set[str](),
    "closing": {"patience", "server_stop", "errors"},
    "limits": set[str](),
    "arguments": {"limits", "dynamodb", "errors"},
    "snapshots": {"arguments", "session", "chat", "schema"},
    "attachments": {"chat", "storage", "schema", "errors"},
    "waiting_room": {"chat"},
    "patient_attachments": {"waiting_room", "chat", "dynamodb", "errors"},
    "start_check": {"attachments", "chat", "rows", "dynamodb", "schema", "errors"},
    "failure_log": {"errors"},
    "ops": {"ops", "dynamodb", "secret_file", "storage", "schema", "errors"},
    "testing": {
        "testing",
        "ops",
        "data_layer",
        "patience",
        "chat",
        "rows",
        "dynamodb",
        "storage",
        "schema",
        "errors",
    },
    "cli": {"cli", "ops", "schema", "errors", ""},
}
# Of the parts below it, access patterns see no more than this: rows, plain values, and what changes them.
SEEN_BY_CHAT = {"rows.rows", "rows.burial", "rows.transactions", "dynamodb.codec", "dynamodb.expressions"}
# Of the ciphers, rows see what seals and who wraps keys, but nobody in particular.
SEEN_BY_ROWS = {"ciphers.aes", "ciphers.provider"}
PURE = ["schema", "chat.changes", "chat.presentation", "chat.assembly", "chat.cursors", "chat.clock"]
PURE += ["dynamodb.codec", "dynamodb.expressions", "dynamodb.packing", "dynamodb.failures"]
INPUT_AND_OUTPUT = {"asyncio", "aiohttp", "aiodynamo", "botocore", "http", "os", "socket", "subprocess", "threading"}
STORAGE = sorted((SOURCE / "storage").rglob("*.py"))
STORAGE_CLIENTS = {f"storage.{client.module}" for client in CLIENTS}
SDKS = {"azure", "boto3", "botocore", "google"}
# What they may import of others; `chainlit` here is Chainlit.
FORBIDDEN = {
    "dynamodb": {"chainlit", "boto3"},
    "ciphers": {"chainlit", "aiohttp", "aiodynamo", "boto3"},
    "rows": {"chainlit", "cryptography", "aiohttp", "aiodynamo", "boto3", "botocore"},
    "chat": {"chainlit", "aiohttp", "aiodynamo", "boto3", "botocore", "starlette", "fastapi"},
    "ops": {"chainlit"},
    "cli": {"chainlit"},
}
KEYS = {"PK", "SK", "UserThread", "UserThreadPK", "UserThreadSK"}
PREFIXES = ("USER#", "THREAD#", "STEP#", "ELEMENT#", "FEEDBACK#", "FAVORITE#", "TS#", "KEY#")


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


@pytest.mark.parametrize("file", sorted((SOURCE / "chat").glob("*.py")), ids=named)
def test_access_patterns_speak_of_rows_and_attributes_only(file: Path) -> None:
    below = {name for name in own_imports(file) if name.startswith(("dynamodb", "rows"))}
    assert below <= SEEN_BY_CHAT


@pytest.mark.parametrize("file", sorted((SOURCE / "rows").glob("*.py")), ids=named)
def test_rows_know_nobody_in_particular_who_wraps_keys(file: Path) -> None:
    assert {name for name in own_imports(file) if name.startswith("ciphers")} <= SEEN_BY_ROWS


def test_cryptography_is_imported_in_one_module() -> None:
    users = [file for file in FILES if any(name.partition(".")[0] == "cryptography" for name in imports(file))]
    assert [named(file) for file in users] == ["ciphers/aes.py"]


@pytest.mark.parametrize("file", sorted((SOURCE / "chat").glob("*.py")), ids=named)
def test_access_patterns_take_no_constants_from_one_another(file: Path) -> None:
    taken = [
        alias.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{PACKAGE}.chat.")
        for alias in node.names
    ]
    assert [name for name in taken if name.isupper()] == []


@pytest.mark.parametrize("module", PURE)
def test_the_pure_core_does_no_input_and_output(module: str) -> None:
    graph, seen, waiting = own_graph(), set[str](), [module]
    while waiting:
        current = waiting.pop()
        seen.add(current)
        waiting += graph[current] - seen
    others = {name.partition(".")[0] for each in seen for name in imports(file_of(each))}
    assert not others & INPUT_AND_OUTPUT


def test_no_module_imports_itself_by_way_of_others() -> None:
    list(TopologicalSorter(own_graph()).static_order())  # fails on a circle, and names it


def own_graph() -> dict[str, set[str]]:
    """Give for each module the modules of this package it imports, anywhere in it."""
    names = {module_of(file) for file in FILES}
    graph = {}
    for file in FILES:
        wanted = set(own_imports(file)) | set(own_names(file))
        graph[module_of(file)] = (wanted & names) - {module_of(file), ""}
    return graph


def own_names(file: Path) -> Iterator[str]:
    """Give what `from package import module` may mean."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == PACKAGE:
            parent = str(node.module).removeprefix(PACKAGE).removeprefix(".")
            yield from (f"{parent}.{alias.name}".removeprefix(".") for alias in node.names)


def file_of(module: str) -> Path:
    """Give the file of a module below the package."""
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


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


@pytest.mark.parametrize("file", FILES, ids=named)
def test_keys_are_spelt_in_the_schema_only(file: Path) -> None:
    if named(file) == "schema.py":
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
