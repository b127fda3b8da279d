"""Engines, fresh tables, and an environment in which nothing reaches a real account."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import botocore.session
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from chainlit_dynamodb.ops.create_table import create_table
from chainlit_dynamodb.testing import engines
from chainlit_dynamodb.testing.engines import (
    AZURITE,
    CHROMIUM,
    DYNAMODB_LOCAL,
    FAKE_GCS_SERVER,
    GCP_STORAGE_EMULATOR,
    MINISTACK,
    Engine,
    required_engines,
    running_engine,
)
from chainlit_dynamodb.testing.missing import EngineMissingError

REGION = "us-east-1"
HEAVY = (
    "tests/browser/",
    "tests/reliability/test_memory.py",
    "tests/simulation/test_campaign.py",
    "tests/soak/",
)
"""What keeps all cores busy, or measures: never beside each other."""
_FAKE_ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_app_root = tempfile.TemporaryDirectory(prefix="chainlit-app-root-")
_used: dict[str, str] = {}
_RAN = "ran"
_MISSING = "MISSING"


def pytest_configure() -> None:
    """Take the developer's own account out of reach, and the repository out of Chainlit's."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(_FAKE_ACCOUNT, CHAINLIT_APP_ROOT=_app_root.name)


def pytest_unconfigure() -> None:
    """Remove what Chainlit wrote."""
    _app_root.cleanup()


class Scheduling(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Keeps a file on one worker of pytest-xdist, and on one worker all that keeps the machine busy."""

    def _split_scope(self, nodeid: str) -> str:
        return "heavy" if nodeid.startswith(HEAVY) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """Deal out the tests."""
    return Scheduling(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell, as a worker of pytest-xdist, which engines this process used."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["engines"] = _used


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear which engines a worker used; one that is missing anywhere is missing."""
    for name, state in getattr(node, "workeroutput", {}).get("engines", {}).items():
        if _used.get(name) != _MISSING:
            _used[name] = state


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which engines really ran."""
    states = "; ".join(f"{name} {state}" for name, state in sorted(_used.items())) or "none was needed"
    terminalreporter.write_line(f"engines: {states}")


def _missing(name: str, error: EngineMissingError) -> None:
    _used[name] = _MISSING
    if name in required_engines():
        pytest.fail(f"{name} is required: {error}", pytrace=False)
    pytest.skip(f"{name}: {error}")


def _entered(name: str, engine: AbstractContextManager[Engine], stack: ExitStack) -> str:
    try:
        url = stack.enter_context(engine).url
    except EngineMissingError as error:
        _missing(name, error)
        raise
    _used[name] = _RAN
    return url


def _engine_url(name: str) -> Iterator[str]:
    with ExitStack() as stack:
        yield _entered(name, running_engine(name), stack)


@pytest.fixture(scope="session")
def dynamodb_local_url() -> Iterator[str]:
    """The endpoint of DynamoDB Local."""
    yield from _engine_url(DYNAMODB_LOCAL)


@pytest.fixture(scope="session")
def ministack_url() -> Iterator[str]:
    """The endpoint of ministack, DynamoDB and S3."""
    yield from _engine_url(MINISTACK)


@pytest.fixture(scope="session")
def azurite_url() -> Iterator[str]:
    """The endpoint of Azurite's account."""
    yield from _engine_url(AZURITE)


@pytest.fixture(scope="session")
def fake_gcs_server_url() -> Iterator[str]:
    """The endpoint of fake-gcs-server."""
    yield from _engine_url(FAKE_GCS_SERVER)


@pytest.fixture(scope="session")
def gcp_storage_emulator_url() -> Iterator[str]:
    """The endpoint of gcp-storage-emulator."""
    yield from _engine_url(GCP_STORAGE_EMULATOR)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The browser."""
    try:
        path = engines.chromium_path()
    except EngineMissingError as error:
        _missing(CHROMIUM, error)
        raise
    _used[CHROMIUM] = _RAN
    return path


@pytest.fixture(scope="session", params=[DYNAMODB_LOCAL, MINISTACK])
def dynamodb_url(request: pytest.FixtureRequest) -> str:
    """The endpoint of each DynamoDB engine in turn."""
    url: str = request.getfixturevalue(request.param.replace("-", "_") + "_url")
    return url


@pytest.fixture
def dynamodb_client(dynamodb_url: str) -> Any:
    """A botocore client of the engine in turn."""
    return botocore.session.Session().create_client("dynamodb", region_name=REGION, endpoint_url=dynamodb_url)


@pytest.fixture
def table_name(dynamodb_client: Any) -> Iterator[str]:
    """A fresh table on the engine in turn, dropped after the test."""
    name = f"test-{uuid.uuid4().hex}"
    create_table(dynamodb_client, name)
    yield name
    dynamodb_client.delete_table(TableName=name)
