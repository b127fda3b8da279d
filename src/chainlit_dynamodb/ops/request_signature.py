"""Whether a request was signed with a secret: what AWS checks, for the engine that stands in for it."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import parse_qsl

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PAYLOAD_HEADER: Final = "x-amz-content-sha256"
_CLOCK_SKEW: Final = timedelta(minutes=15)
_SCOPE: Final = r"[^/,\s]+/(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>s3|dynamodb|kms)/aws4_request"
_AUTHORIZATION: Final = re.compile(
    rf"AWS4-HMAC-SHA256 Credential={_SCOPE}, ?SignedHeaders=(?P<headers>[\w;-]+), ?Signature=(?P<signature>\w+)", re.A
)
_CREDENTIAL: Final = re.compile(_SCOPE)


@dataclass(frozen=True)
class Request:
    """A request as it came over the wire.

    Attributes:
        method: As `GET`.
        path: The path, encoded as it came.
        query: What follows the `?`, encoded as it came.
        headers: Its headers by their names in lower case.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def is_presigned(self) -> bool:
        """Whether the signature is part of the URL."""
        return "X-Amz-Signature=" in self.query


@dataclass(frozen=True)
class _Signature:
    """A signature, and what it is said to sign."""

    region: str
    service: str
    moment: str
    headers: list[str]
    value: str

    def is_of(self, request: AWSRequest, secret: str, kind: type) -> bool:
        auth = kind(Credentials("unused", secret), self.service, self.region)
        request.context["timestamp"] = self.moment
        canonical = auth.canonical_request(request)
        expected: str = auth.signature(auth.string_to_sign(request, canonical), request)
        return hmac.compare_digest(expected.encode(), self.value.encode())


def needs_body(request: Request) -> bool:
    """Return whether a signature covers the body itself, and not a digest among the headers."""
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    return found is not None and PAYLOAD_HEADER not in found["headers"].split(";")


def is_signed(request: Request, body: bytes, secret: str) -> bool:
    """Return whether a request was signed with a secret not long ago, or its URL was and has not ended.

    Args:
        request: The request.
        body: Its body, where `needs_body`.
        secret: The secret access key. The id of the key is not looked at.
    """
    if request.is_presigned:
        return _is_presigned(request, secret)
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    moment = request.headers.get("x-amz-date", "")
    if found is None or not moment.startswith(found["date"]) or not _is_between(moment, _CLOCK_SKEW):
        return False
    signature = _Signature(found["region"], found["service"], moment, found["headers"].split(";"), found["signature"])
    kind = S3SigV4Auth if signature.service == "s3" else SigV4Auth
    if signature.is_of(_rebuilt(request, request.query, signature.headers, body), secret, kind):
        return True
    # aiodynamo signs the host without its port: https://github.com/HENNGE/aiodynamo/blob/master/src/aiodynamo/sign.py
    portless = replace(request, headers={**request.headers, "host": request.headers.get("host", "").split(":")[0]})
    return signature.is_of(_rebuilt(portless, request.query, signature.headers, body), secret, kind)


def _is_presigned(request: Request, secret: str) -> bool:
    asked = dict(parse_qsl(request.query, keep_blank_values=True))
    scope = _CREDENTIAL.fullmatch(asked.get("X-Amz-Credential", ""))
    moment, lifetime = asked.get("X-Amz-Date", ""), asked.get("X-Amz-Expires", "")
    if scope is None or scope["service"] != "s3" or not moment.startswith(scope["date"]):
        return False
    if not re.fullmatch(r"\d{1,6}", lifetime) or not _is_between(moment, timedelta(seconds=int(lifetime))):
        return False
    names = asked.get("X-Amz-SignedHeaders", "").split(";")
    signature = _Signature(scope["region"], "s3", moment, names, asked.get("X-Amz-Signature", ""))
    signed = "&".join(part for part in request.query.split("&") if not part.startswith("X-Amz-Signature="))
    return signature.is_of(_rebuilt(request, signed, names, b""), secret, S3SigV4QueryAuth)


def _rebuilt(request: Request, query: str, signed_headers: list[str], body: bytes) -> AWSRequest:
    """Return what was signed: nothing but the headers that were."""
    url = f"http://{request.headers.get('host', '')}{request.path}" + (f"?{query}" if query else "")
    headers = {name: request.headers[name] for name in signed_headers if name in request.headers}
    return AWSRequest(method=request.method, url=url, headers=headers, data=body)


def _is_between(moment: str, lifetime: timedelta) -> bool:
    """Return whether now is no more than a lifetime after a moment, and not long before it."""
    try:
        signed_at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError:
        return False
    return -_CLOCK_SKEW <= datetime.now(timezone.utc) - signed_at <= lifetime
