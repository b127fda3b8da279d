"""The wheel holds all it needs, and works where nothing else of this project is."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXTRAS = {"s3", "azure-blob", "gcs", "azure", "kms", "local", "all"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, just built."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel installs, and nothing else."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([*pip, f"{wheel}[s3]"], check=True)
    return target


def test_it_holds_types_and_the_demo(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in ("py.typed", "demo/app.py", "demo/config.toml", "demo/readme.md", "demo/public/theme.json"):
        assert f"chainlit_dynamodb/{wanted}" in names


def test_it_holds_nothing_but_the_package(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"chainlit_dynamodb"}


def test_it_offers_every_extra(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        assert set(message_from_bytes(archive.read(metadata)).get_all("Provides-Extra", [])) == EXTRAS


def test_the_command_runs_from_it(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(installed / "bin" / "chainlit-dynamodb"), "template", "chats"]
    environment = {"PYTHONPATH": str(installed)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert 'TableName: "chats"' in done.stdout


def test_the_demo_is_found_in_it(installed: Path, tmp_path: Path) -> None:
    script = "import chainlit_dynamodb.demo as demo; print(demo.__file__)"
    environment = {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == installed / "chainlit_dynamodb" / "demo" / "__init__.py"
