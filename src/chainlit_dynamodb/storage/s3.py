"""Attachments in Amazon S3, and in whatever speaks its protocol: MinIO, Cloudflare R2, ministack."""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timezone
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError, StorageError
from chainlit_dynamodb.storage.base import CONCURRENCY, StorageClient, is_busy
from chainlit_dynamodb.storage.cors import EXPOSED_HEADERS, MAX_AGE_SECONDS
from chainlit_dynamodb.storage.headers import FileHeaders
from chainlit_dynamodb.storage.lifetime import url_lifetime
from chainlit_dynamodb.storage.names import object_name
from chainlit_dynamodb.storage.signed_url import SignedURL
from chainlit_dynamodb.storage.upload_options import checked_options
from chainlit_dynamodb.storage.url import StorageURL

if TYPE_CHECKING:
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config

logger = logging.getLogger("chainlit.DynamoDB.storage")

PART_BYTES: Final = 8 * 1024 * 1024
MAX_URL_LIFETIME_SECONDS: Final = 7 * 24 * 3600
CONNECT_TIMEOUT_SECONDS: Final = 5
READ_TIMEOUT_SECONDS: Final = 60
ATTEMPTS: Final = 5
CONFLICT: Final = "ConditionalRequestConflict"
REQUEST_OPTIONS: Final = frozenset({"ExpectedBucketOwner", "RequestPayer"})
UPLOAD_OPTIONS: Final = REQUEST_OPTIONS | {
    "ACL",
    "BucketKeyEnabled",
    "CacheControl",
    "GrantFullControl",
    "GrantRead",
    "GrantReadACP",
    "GrantWriteACP",
    "Metadata",
    "ObjectLockLegalHoldStatus",
    "ObjectLockMode",
    "ObjectLockRetainUntilDate",
    "SSEKMSEncryptionContext",
    "SSEKMSKeyId",
    "ServerSideEncryption",
    "StorageClass",
    "Tagging",
}
"""Not a key of one's own (`SSECustomerKey`): browsers would have to send it."""
CHECKSUMS: Final = "request_checksum_calculation"
CHECKSUMS_VARIABLE: Final = "AWS_REQUEST_CHECKSUM_CALCULATION"
_BUSY: Final = frozenset({CONFLICT, "OperationAborted", "RequestTimeout", "Throttling", "ThrottlingException"})
"""Refusals with a status that promises nothing; those of STS included."""
_PART: Final = ("ETag", "ChecksumCRC32")
"""What is told of a part when the upload is completed; the checksum only where the server kept one."""


class S3StorageClient(StorageClient):
    """Attachments in one S3 bucket, which may and should be private.

    boto3 blocks, so it runs in a few threads of its own. Everything that goes over the network, and the
    making of the boto3 client, happens at the first call, not in the constructor.
    """

    def __init__(
        self,
        bucket: str,
        *,
        client: Any = None,
        prefix: str = "",
        url_lifetime_seconds: int | None = None,
        upload_options: Mapping[str, Any] | None = None,
        **boto3_kwargs: Any,
    ) -> None:
        """Describe the bucket and how to reach it.

        Args:
            bucket: The name of the bucket.
            client: A boto3 S3 client of your own. It signs URLs the way it was configured (give it
                `signature_version="s3v4"`) and is never closed here.
            prefix: A folder inside the bucket; it is put before each key and never shows outside.
            url_lifetime_seconds: How long read URLs live; else `STORAGE_EXPIRY_TIME`, else an hour. With the
                temporary credentials of a role they end with these at the latest.
            upload_options: What is sent with every upload, as boto3's `ExtraArgs`: `ServerSideEncryption`,
                `SSEKMSKeyId`, `ACL`, `Tagging`, ...; `RequestPayer` and `ExpectedBucketOwner` with every request.
            **boto3_kwargs: What `boto3.client("s3", ...)` takes: `region_name`, `endpoint_url`,
                `aws_access_key_id`, `config`, ... A `config` is merged with ours and wins.

        Raises:
            MissingDependencyError: boto3 is not installed.
            ConfigurationError: An argument is missing, unknown or of the wrong kind.
        """
        if not bucket or not isinstance(bucket, str):
            raise ConfigurationError(f"S3StorageClient: bucket must be the name of a bucket, not {bucket!r}")
        if client is not None and boto3_kwargs:
            raise ConfigurationError(f"S3StorageClient: client= and {', '.join(boto3_kwargs)} exclude each other")
        if client is None:
            _check_boto3_arguments(boto3_kwargs)
        super().__init__(bucket, f"s3://{bucket}")
        self.bucket = bucket
        self._prefix = prefix.strip("/")
        self._lifetime = url_lifetime(url_lifetime_seconds)
        if self._lifetime > MAX_URL_LIFETIME_SECONDS:
            raise ConfigurationError(f"S3 signs URLs for 7 days at most, not for {self._lifetime} seconds")
        self._advice = f"Check name and region, or create it: chainlit-dynamodb create-bucket {bucket}"
        self._upload_options = checked_options(upload_options, UPLOAD_OPTIONS, "S3StorageClient")
        self._request_options = {
            name: self._upload_options.pop(name) for name in REQUEST_OPTIONS & set(self._upload_options)
        }
        self._boto3_kwargs = boto3_kwargs
        self._client = client
        self._owns_client = client is None
        self._warned_of_early_end = False
        self._client_lock = threading.Lock()

    @classmethod
    def from_url(cls, url: StorageURL) -> S3StorageClient:
        """Make a client from `s3://bucket/prefix`. See `storage_from_url`."""
        options = {"region_name" if name == "region" else name: value for name, value in url.options.items()}
        return cls(url.host_as("bucket"), prefix=url.prefix, **options)

    def _name(self, object_key: str) -> str:
        return object_name(object_key, self._prefix)

    async def _upload(self, name: str, file: IO[bytes], headers: FileHeaders, overwrite: bool) -> None:
        """Store a file; above 8 MB it goes in parts."""
        sent = {**self._upload_options, "ContentType": headers.mime}
        if headers.content_disposition:
            sent["ContentDisposition"] = headers.content_disposition
        await self._calls.in_thread(self._upload_until_settled, self._target(name), file, sent, overwrite)

    async def _delete(self, name: str) -> None:
        """Delete a file; with bucket versioning, put a delete marker."""
        await self._calls.in_thread(lambda: self._s3().delete_object(**self._target(name)))

    async def _sign(self, name: str) -> SignedURL:
        """Sign a URL; no request unless credentials must be renewed."""
        return await self._calls.in_spare_thread(self._presigned, {"Bucket": self.bucket, "Key": name})

    async def _close(self) -> None:
        if self._owns_client and self._client is not None:
            self._client.close()

    def _cors_rule(self, origin: str) -> str:
        rule = {
            "AllowedOrigins": [origin],
            "AllowedMethods": ["GET", "HEAD"],
            "AllowedHeaders": ["Range"],
            "ExposeHeaders": list(EXPOSED_HEADERS),
            "MaxAgeSeconds": MAX_AGE_SECONDS,
        }
        return json.dumps([rule], indent=2)

    def _is_taken(self, error: Exception) -> bool:
        return _error_code(error) == "PreconditionFailed"

    def _is_transient(self, error: Exception) -> bool:
        from botocore import exceptions as aws  # noqa: PLC0415 - an optional SDK

        if isinstance(error, aws.ClientError):
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return is_busy(status) or _error_code(error) in _BUSY
        lost = aws.ConnectionError | aws.HTTPClientError
        return isinstance(error, lost) or super()._is_transient(error)

    def _reason(self, error: Exception) -> str | None:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - an optional SDK

        if isinstance(error, ClientError):
            reason = f"{_error_code(error)}: {error.response.get('Error', {}).get('Message')}"
            return f"{reason.rstrip('.')}. {self._advice}" if _error_code(error) == "NoSuchBucket" else reason
        return str(error) if isinstance(error, BotoCoreError) else super()._reason(error)

    def _upload_until_settled(
        self, target: dict[str, str], file: IO[bytes], headers: dict[str, Any], overwrite: bool
    ) -> None:
        condition = {} if overwrite else {"IfNoneMatch": "*"}
        for _ in range(ATTEMPTS - 1):
            with _conflicts_forgiven():
                return self._upload_once(target, file, headers, condition)
        return self._upload_once(target, file, headers, condition)

    def _upload_once(
        self, target: dict[str, str], file: IO[bytes], headers: dict[str, Any], condition: dict[str, str]
    ) -> None:
        file.seek(0)
        first = file.read(PART_BYTES)
        second = file.read(PART_BYTES)
        if second:
            self._upload_parts(target, [first, second], file, headers, condition)
        else:
            self._s3().put_object(**target, Body=first, **headers, **condition)

    def _upload_parts(
        self,
        target: dict[str, str],
        start: list[bytes],
        file: IO[bytes],
        headers: dict[str, Any],
        condition: dict[str, str],
    ) -> None:
        # boto3's own transfer manager cannot make a multipart upload conditional, and holds many parts in
        # memory.
        s3 = self._s3()
        algorithm = _checksum_algorithm(s3)
        upload = {**target, "UploadId": s3.create_multipart_upload(**target, **headers, **algorithm)["UploadId"]}
        try:
            parts = []
            for number, body in enumerate(_parts(start, file), 1):
                answer = s3.upload_part(**upload, PartNumber=number, Body=body, **algorithm)
                parts.append({"PartNumber": number, **{name: answer[name] for name in _PART if name in answer}})
            s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts}, **condition)
        except BaseException:  # whatever it was is raised again
            # Parts that are not aborted cost money until a lifecycle rule of the bucket removes them.
            with suppress(StorageError), self._typed_errors("abort the upload", target["Key"]):
                s3.abort_multipart_upload(**upload)
            raise

    def _presigned(self, target: dict[str, str]) -> SignedURL:
        s3 = self._s3()
        url = s3.generate_presigned_url("get_object", Params=target, ExpiresIn=self._lifetime)
        # The first signature has renewed the credentials if that was due.
        left = _seconds_left(s3)
        if left is None or left >= self._lifetime:
            return SignedURL(url, self._lifetime)
        self._warn_of_early_end(left)
        shorter = s3.generate_presigned_url("get_object", Params=target, ExpiresIn=max(left, 1))
        return SignedURL(shorter, max(left, 1))

    def _warn_of_early_end(self, seconds: int) -> None:
        if not self._warned_of_early_end:
            self._warned_of_early_end = True
            logger.warning(
                "s3://%s: read URLs were to live %d seconds, but the role's credentials that sign them end in %d; "
                "lengthen the role's session or shorten STORAGE_EXPIRY_TIME",
                self.bucket,
                self._lifetime,
                seconds,
            )

    def _target(self, name: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": name, **self._request_options}

    def _s3(self) -> Any:
        with self._client_lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> Any:
        import boto3  # noqa: PLC0415 - an optional SDK

        session = boto3.DEFAULT_SESSION or boto3.session.Session()
        # boto3 knows AWS_DEFAULT_REGION only; containers and every other AWS SDK use AWS_REGION.
        region = self._boto3_kwargs.get("region_name") or session.region_name or os.environ.get("AWS_REGION")
        arguments = {**self._boto3_kwargs, "region_name": region}
        # Only a client tells what the environment and the profile say; a second one costs 4 ms.
        with closing(session.client("s3", **arguments)) as plain:
            on_aws = _is_aws(plain.meta.endpoint_url)
            config = _config(arguments.get("config"), plain.meta.config.s3, on_aws)
        if on_aws and not region:
            raise StorageError(f"s3://{self.bucket}: no AWS region. Set AWS_REGION or give region_name=")
        client = session.client("s3", **{**arguments, "config": config})
        if payer := self._request_options.get("RequestPayer"):
            # Else it would be a header that is signed, and browsers that read a URL send none.
            client.meta.events.register("before-sign.s3.GetObject", partial(_add_payer, payer))
        return client


@contextmanager
def _conflicts_forgiven() -> Iterator[None]:
    """Go on when another upload of the same key was under way, which S3 answers with "try again"."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an optional SDK

    try:
        yield
    except ClientError as exc:
        if _error_code(exc) != CONFLICT:
            raise


def _add_payer(payer: str, request: AWSRequest, **_: Any) -> None:
    request.params["x-amz-request-payer"] = payer


def _error_code(error: Exception) -> str | None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an optional SDK

    code: str | None = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
    return code


def _checksum_algorithm(client: Any) -> dict[str, str]:
    """Return what declares the checksums of parts: S3 wants to know beforehand what botocore will send with each."""
    is_sent = getattr(client.meta.config, CHECKSUMS, None) == "when_supported"
    return {"ChecksumAlgorithm": "CRC32"} if is_sent else {}


def _seconds_left(client: Any) -> int | None:
    # botocore tells nobody when temporary credentials end, and every URL ends with them.
    credentials = getattr(getattr(client, "_request_signer", None), "_credentials", None)
    ends = getattr(credentials, "_expiry_time", None)
    return int((ends - datetime.now(timezone.utc)).total_seconds()) if isinstance(ends, datetime) else None


def _parts(start: list[bytes], file: IO[bytes]) -> Iterator[bytes]:
    while start:
        yield start.pop(0)
    while body := file.read(PART_BYTES):
        yield body


def _check_boto3_arguments(arguments: dict[str, Any]) -> None:
    try:
        import boto3  # noqa: PLC0415 - an optional SDK
        from botocore.config import Config  # noqa: PLC0415
    except ImportError as exc:
        raise MissingDependencyError("boto3", "s3") from exc
    try:
        inspect.signature(boto3.session.Session.client).bind(None, "s3", **arguments)
    except TypeError as exc:
        raise ConfigurationError(f"S3StorageClient: {exc}") from exc
    if not isinstance(arguments.get("config"), Config | None):
        raise ConfigurationError("S3StorageClient: config must be a botocore.config.Config")


def _config(given: Config | None, addressing: dict[str, Any] | None, on_aws: bool) -> Config:
    from botocore.config import Config  # noqa: PLC0415 - an optional SDK

    options: dict[str, Any] = {
        "signature_version": "s3v4",
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "read_timeout": READ_TIMEOUT_SECONDS,
        "max_pool_connections": CONCURRENCY,
        "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
        "tcp_keepalive": True,
    }
    if not on_aws and CHECKSUMS in Config.OPTION_DEFAULTS and CHECKSUMS_VARIABLE not in os.environ:
        # Many servers that speak S3 do not know the trailing checksums that botocore sends to AWS by default.
        options[CHECKSUMS] = "when_required"
    # By default botocore signs URLs for a global host name; new buckets elsewhere answer that with a redirect.
    regional = {"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"}
    style = {**(regional if on_aws else {"addressing_style": "path"}), **(addressing or {})}
    return Config(**options).merge(given or Config()).merge(Config(s3=style))


def _is_aws(endpoint_url: str) -> bool:
    return re.match(r"https?://s3[\w.-]*\.amazonaws\.", endpoint_url) is not None
