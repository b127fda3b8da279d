"""`demo`: what it prints, keeps and shows."""

from __future__ import annotations

import http.client
import json
import struct
import sys
import zlib
from pathlib import Path
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from chainlit_dynamodb.cli.main import main
from chainlit_dynamodb.demo.picture import HEIGHT, WIDTH, sunset
from chainlit_dynamodb.demo.report import week_report
from chainlit_dynamodb.demo.weather import HOURS, UNITS, figure
from tests.cli.conftest import Serve
from tests.cli.processes import Served, listens

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is tested


def log_in(served: Served, username: str, password: str) -> tuple[int, str]:
    """Log in and give the status and the cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    form = urlencode({"username": username, "password": password})
    connection.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    response = connection.getresponse()
    connection.close()
    return response.status, (response.getheader("Set-Cookie") or "").partition(";")[0]


def threads(served: Served, cookie: str) -> int:
    """Ask for the history and give the status."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    body = json.dumps({"pagination": {"first": 35}, "filter": {}})
    headers = {"Content-Type": "application/json", "Cookie": cookie}
    connection.request("POST", "/project/threads", body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_it_serves_a_chat_with_the_login_it_prints(serve: Serve, tmp_path: Path) -> None:
    served = serve("demo")
    assert f"http://localhost:{served.port}" in served.output
    assert "Login    demo / demo" in served.output
    status, cookie = log_in(served, "demo", "demo")
    assert status == 200
    assert threads(served, cookie) == 200
    assert log_in(served, "demo", "wrong")[0] == 401
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {".demo"}


def test_a_restart_logs_nobody_out_and_leaves_no_engine(serve: Serve, tmp_path: Path) -> None:
    first = serve("demo")
    _, cookie = log_in(first, "demo", "demo")
    engine = first.engine_port
    assert first.stop() == 0
    assert not listens(engine)
    second = serve("demo")
    assert threads(second, cookie) == 200
    assert (tmp_path / ".demo" / "engine" / "auth-secret").stat().st_mode & 0o777 == 0o600


def test_it_listens_to_this_machine_whatever_the_environment_says(serve: Serve) -> None:
    served = serve("demo", CHAINLIT_HOST=EVERYWHERE)
    assert not listens(served.port, "127.0.0.2")
    assert "Warning" not in served.output


def test_it_listens_elsewhere_when_told_to_and_says_what_that_means(serve: Serve) -> None:
    served = serve("demo", "--host", EVERYWHERE)
    assert listens(served.port, "127.0.0.2")
    assert f"Warning: whoever reaches {EVERYWHERE} can log in as demo" in served.output


def test_without_its_engine_it_says_how_to_install_it_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ministack", None)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["demo"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: ministack is not installed. Run: pip install 'chainlit-dynamodb[local]'\n"
    assert list(tmp_path.iterdir()) == []


def test_the_picture_is_a_png() -> None:
    png = sunset()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (WIDTH, HEIGHT)
    start = png.index(b"IDAT")
    (length,) = struct.unpack(">I", png[start - 4 : start])
    assert len(zlib.decompress(png[start + 4 : start + 4 + length])) == HEIGHT * (1 + 3 * WIDTH)


def test_the_report_is_a_pdf_whose_offsets_are_true() -> None:
    pdf = week_report()
    assert pdf.startswith(b"%PDF-1.4\n")
    assert pdf.endswith(b"%%EOF\n")
    table = int(pdf.rsplit(b"startxref\n", 1)[1].split()[0])
    assert pdf[table:].startswith(b"xref\n0 6\n")
    entries = pdf[table:].split(b"\n")[3:8]
    for number, entry in enumerate(entries, start=1):
        assert pdf[int(entry.split()[0]) :].startswith(b"%d 0 obj" % number)


def test_the_plot_is_json_that_plotly_reads() -> None:
    traces = json.loads(figure(UNITS["°F"]))["data"]
    assert [len(trace["y"]) for trace in traces] == [len(HOURS)] * 3
