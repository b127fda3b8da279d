"""Credentials that STS lends: its refusals are told apart, with our own transport as with a given client."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.errors import CredentialsError, TransientError
from tests.engines.conftest import MakeTransport, tried_for
from tests.engines.wire import Wire, answer

KEY = {"PK": "p", "SK": "s"}
_NAMESPACE = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
LENT = f"""<AssumeRoleWithWebIdentityResponse {_NAMESPACE}><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>LENT</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn>
</AssumedRoleUser></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


def refused(code: str) -> str:
    """Return a refusal as STS words it."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>"
    return f"<ErrorResponse {_NAMESPACE}>{error}<RequestId>1</RequestId></ErrorResponse>"


class Sts(ThreadingHTTPServer):
    """Gives the scripted answers one after the other, then lends credentials.

    Attributes:
        script: Status and body of each answer.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: deque[tuple[int, str]] = deque()


class _Handler(BaseHTTPRequestHandler):
    server: Sts

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, text = self.server.script.popleft() if self.server.script else (200, LENT)
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Sts]:
    """An STS that lends this process a role, as in a cluster; botocore asks it once a request."""
    (tmp_path / "token").write_text("token")
    with Sts() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "Throttling"),
        (400, "ThrottlingException"),
        (400, "RequestLimitExceeded"),
        (400, "IDPCommunicationError"),
        (429, "TooManyRequestsException"),
        (500, "InternalFailure"),
        (503, "ServiceUnavailable"),
    ],
)
async def test_a_busy_sts_is_asked_again(
    status: int, code: str, sts: Sts, wire: Wire, make_transport: MakeTransport
) -> None:
    wire.will_answer(answer({"Item": {"x": {"N": "1"}}}))
    sts.script.extend([(status, refused(code))] * 2)
    table = Table("chats", make_transport(wire.url), tried_for(10))

    assert await table.get(KEY) == {"x": 1}

    assert not sts.script
    assert "Credential=LENT/" in wire.received[0].headers["authorization"]


async def test_an_sts_that_stays_busy_is_no_wrong_configuration(
    sts: Sts, wire: Wire, make_transport: MakeTransport
) -> None:
    sts.script.extend([(400, refused("Throttling"))] * 1000)
    table = Table("chats", make_transport(wire.url), tried_for(0.3))

    with pytest.raises(TransientError, match="credentials"):
        await table.get(KEY)


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (400, "InvalidIdentityToken")])
async def test_what_sts_denies_is_final(
    status: int, code: str, sts: Sts, wire: Wire, make_transport: MakeTransport
) -> None:
    sts.script.append((status, refused(code)))
    table = Table("chats", make_transport(wire.url), tried_for(10))

    with pytest.raises(CredentialsError, match=code):
        await table.get(KEY)

    assert not sts.script
    assert not wire.received
