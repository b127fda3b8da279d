"""The demo as its users start it: `chainlit-dynamodb demo` in a process of its own, with a data folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import botocore.config
import botocore.session

import chainlit_dynamodb
from tests.cli.processes import Served
from tests.conftest import REGION
from tests.ports import free_port

DEMO = Path(chainlit_dynamodb.__file__).parent / "demo"
TABLE = "chainlit-demo"
BUCKET = "chainlit-demo-files"
LOGIN = ("demo", "demo")
# The library of Chainlit's socket calls it an error when a page is left while its connection is being made.
_ERROR = re.compile(r" - (ERROR|CRITICAL) - (?!engineio\.server - .*[Ss]ession)|^Traceback|never retrieved")


class ChatServer:
    """A Chainlit server that can be stopped and started again.

    Attributes:
        port: Where it serves; the same after a restart.
        url: The same for the browser.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        """Start nothing yet; `arguments` follow `chainlit-dynamodb`, `variables` add to the environment."""
        self._folder = folder
        self._arguments = arguments
        self._environment = {**os.environ, **(variables or {})}
        self.port = free_port()
        self._logs: list[Path] = []
        self._served: Served | None = None
        self.url = f"http://localhost:{self.port}"

    @classmethod
    def demo(cls, folder: Path) -> ChatServer:
        """Give the demo."""
        return cls(folder, ["demo", "--data", str(folder / "data")])

    @classmethod
    def of_app(cls, app: Path, folder: Path, variables: Mapping[str, str]) -> ChatServer:
        """Give an app with the looks and the login of the demo, by `chainlit-dynamodb run`."""
        (folder / ".chainlit").mkdir()
        shutil.copyfile(DEMO / "config.toml", folder / ".chainlit" / "config.toml")
        shutil.copytree(DEMO / "public", folder / "public")
        own = {
            "CHAINLIT_APP_ROOT": str(folder),
            "CHAINLIT_AUTH_SECRET": "of-this-test-only, long enough to sign with",
            "CHAINLIT_DEMO_LOGIN": ":".join(LOGIN),
        }
        return cls(folder, ["run", str(app), "--headless"], {**own, **variables})

    def start(self) -> None:
        """Start it and wait until it serves."""
        log = self._folder / f"server-{len(self._logs)}.log"
        self._logs.append(log)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "chainlit_dynamodb.cli.main", *self._arguments, "--port", str(self.port)],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._served = Served(process, self.port, log)
        self._served.wait_until_ready()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it by a signal and give its exit code. Stopping twice is fine."""
        assert self._served is not None
        return self._served.stop(number)

    def complaints(self) -> list[str]:
        """Give what it logged as an error, over all its starts."""
        return [line for line in self.log().splitlines() if _ERROR.search(line)]

    def log(self) -> str:
        """Give all it has logged, over all its starts."""
        return "".join(log.read_text() for log in self._logs)

    def rows(self, thread_id: str) -> list[dict[str, Any]]:
        """Give the rows of a thread, as DynamoDB spells them."""
        return rows_of(self._client("dynamodb"), TABLE, thread_id)

    def files(self, thread_id: str) -> list[str]:
        """Give the keys of a thread's files in the bucket."""
        listed = self._client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", [])
        return [file["Key"] for file in listed if thread_id in file["Key"]]

    def _client(self, service: str) -> Any:
        assert self._served is not None
        secret = (self._folder / "data" / "engine" / "access-key").read_text()
        return aws_client(service, f"http://127.0.0.1:{self._served.engine_port}", secret)


def rows_of(client: Any, table: str, thread_id: str) -> list[dict[str, Any]]:
    """Give the rows of a thread, as DynamoDB spells them."""
    found: list[dict[str, Any]] = client.query(
        TableName=table,
        KeyConditionExpression="PK = :pk",
        ExpressionAttributeValues={":pk": {"S": f"THREAD#{thread_id}"}},
        ConsistentRead=True,
    )["Items"]
    return found


def aws_client(service: str, url: str, secret: str = "test") -> Any:  # noqa: S107 - of engines for tests
    """Give a client of an engine on this machine."""
    config = botocore.config.Config(proxies={}, s3={"addressing_style": "path"})
    session = botocore.session.Session()
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": secret}
    return session.create_client(service, region_name=REGION, endpoint_url=url, config=config, **keys)
