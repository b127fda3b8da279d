"""Attachments in Google Cloud Storage, with a service account's key or without."""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Mapping
from typing import IO, Any, Final

from chainlit_dynamodb.errors import ConfigurationError, MissingDependencyError, StorageError
from chainlit_dynamodb.storage.base import StorageClient, is_busy
from chainlit_dynamodb.storage.cors import EXPOSED_HEADERS, MAX_AGE_SECONDS
from chainlit_dynamodb.storage.headers import FileHeaders
from chainlit_dynamodb.storage.lifetime import url_lifetime
from chainlit_dynamodb.storage.names import hashed_if, object_name
from chainlit_dynamodb.storage.signed_url import SignedURL
from chainlit_dynamodb.storage.upload_options import checked_options
from chainlit_dynamodb.storage.url import StorageURL

PART_BYTES: Final = 8 * 1024 * 1024
MAX_URL_LIFETIME_SECONDS: Final = 7 * 24 * 3600
CONNECT_TIMEOUT_SECONDS: Final = 5
READ_TIMEOUT_SECONDS: Final = 60
RETRY_SECONDS: Final = 60
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
UPLOAD_OPTIONS: Final = frozenset({"kms_key_name", "predefined_acl", "user_project"})
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"

# Google refuses line breaks, and keeps one folder for itself.
_UNFIT: Final = re.compile(r"[\r\n]|^\.well-known/acme-challenge/|^~sha256/")


class GCSStorageClient(StorageClient):
    """Attachments in one bucket, which may and should be private.

    google-cloud-storage blocks, so it runs in a few threads of its own. Credentials are looked for at the first
    call, not in the constructor.
    """

    def __init__(
        self,
        bucket_name: str,
        project_id: str | None = None,
        client_email: str | None = None,
        private_key: str | None = None,
        *,
        credentials: Any = None,
        endpoint: str | None = None,
        prefix: str = "",
        url_lifetime_seconds: int | None = None,
        upload_options: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the bucket and how to reach it.

        Args:
            bucket_name: The name of the bucket.
            project_id: The project that requests are counted for.
            client_email: The service account that signs URLs. With `private_key`, also the one that enters; without,
                the one that credentials without a key ask IAM to sign as.
            private_key: The service account's private key as PEM, with line breaks or with `\\n`, or in base64.
                Better give none: else the default credentials are used.
            credentials: Credentials of google-auth, instead of the default ones.
            endpoint: Another API endpoint; else `STORAGE_EMULATOR_HOST`, else Google's. Over plain HTTP, which
                only emulators speak, requests carry no credentials.
            prefix: A folder inside the bucket; it is put before each key and never shows outside.
            url_lifetime_seconds: How long read URLs live, 7 days at most; else `STORAGE_EXPIRY_TIME`, else an hour.
            upload_options: What is sent with every upload: `kms_key_name`, `predefined_acl`; `user_project`, the
                project that pays, with every request.

        Raises:
            MissingDependencyError: google-cloud-storage is not installed.
            ConfigurationError: An argument is missing or wrong.
        """
        _require_sdk()
        if not bucket_name or not isinstance(bucket_name, str):
            raise ConfigurationError(
                f"GCSStorageClient: bucket_name must be the name of a bucket, not {bucket_name!r}"
            )
        if private_key is not None and credentials is not None:
            raise ConfigurationError("GCSStorageClient: private_key and credentials exclude each other")
        super().__init__(bucket_name, f"gs://{bucket_name}")
        self.bucket_name = bucket_name
        self._project_id = project_id
        self._client_email = client_email
        self._credentials = credentials
        if private_key is not None:
            self._credentials = _credentials_with_key(project_id, client_email, private_key)
        self._endpoint = endpoint
        self._prefix = prefix.strip("/")
        self._lifetime = url_lifetime(url_lifetime_seconds)
        if self._lifetime > MAX_URL_LIFETIME_SECONDS:
            raise ConfigurationError(f"Google signs URLs for 7 days at most, not for {self._lifetime} seconds")
        self._upload_options = checked_options(upload_options, UPLOAD_OPTIONS, "GCSStorageClient")
        self._client: Any = None
        self._signing: Any = None
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: StorageURL) -> GCSStorageClient:
        """Make a client from `gs://bucket/prefix`. See `storage_from_url`."""
        return cls(url.host_as("bucket"), prefix=url.prefix, **url.options)

    def _name(self, object_key: str) -> str:
        return object_name(hashed_if(_UNFIT, object_key), self._prefix)

    async def _upload(self, name: str, file: IO[bytes], headers: FileHeaders, overwrite: bool) -> None:
        await self._calls.in_thread(self._upload_blob, name, file, headers, overwrite)

    async def _delete(self, name: str) -> None:
        await self._calls.in_thread(self._delete_blob, name)

    async def _sign(self, name: str) -> SignedURL:
        return SignedURL(await self._calls.in_spare_thread(self._signed_url, name), self._lifetime)

    async def _close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _cors_rule(self, origin: str) -> str:
        rule = {
            "origin": [origin],
            "method": ["GET", "HEAD"],
            "responseHeader": ["Range", *EXPOSED_HEADERS],
            "maxAgeSeconds": MAX_AGE_SECONDS,
        }
        return json.dumps([rule], indent=2)

    def _is_taken(self, error: Exception) -> bool:
        from google.api_core.exceptions import PreconditionFailed  # noqa: PLC0415 - an optional SDK

        return isinstance(error, PreconditionFailed)

    def _is_transient(self, error: Exception) -> bool:
        import requests  # noqa: PLC0415 - comes with the SDK
        from google.api_core.exceptions import GoogleAPICallError, RetryError  # noqa: PLC0415 - an optional SDK
        from google.auth.exceptions import GoogleAuthError, TransportError  # noqa: PLC0415

        if isinstance(error, GoogleAPICallError):
            return is_busy(error.code)
        if isinstance(error, GoogleAuthError):
            # A refusal to sign is a TransportError too; only one that holds an error of the network is one.
            cause = error.args[0] if isinstance(error, TransportError) and error.args else None
            return error.retryable or (isinstance(cause, Exception) and self._is_transient(cause))
        lost = RetryError | requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError
        return isinstance(error, lost) or super()._is_transient(error)

    def _reason(self, error: Exception) -> str | None:
        # Those of uploads, requests and google-auth have no common root.
        return f"{type(error).__name__}: {getattr(error, 'message', None) or error}"

    def _upload_blob(self, name: str, file: IO[bytes], headers: FileHeaders, overwrite: bool) -> None:
        """Store a file; above 8 MB it goes in parts."""
        blob = self._blob(name)
        blob.content_disposition = headers.content_disposition
        size = file.seek(0, 2)
        blob.upload_from_file(
            file,
            rewind=True,
            size=size,
            content_type=headers.mime,
            if_generation_match=None if overwrite else 0,
            predefined_acl=self._upload_options.get("predefined_acl"),
            **_patience(),
        )

    def _delete_blob(self, name: str) -> None:
        """Delete a file; soft delete keeps it for a week, unseen."""
        from google.cloud.exceptions import NotFound  # noqa: PLC0415 - an optional SDK

        try:
            self._blob(name).delete(**_patience())
        except NotFound as exc:
            if "bucket does not exist" in str(exc):
                raise

    def _signed_url(self, name: str) -> str:
        """Sign a URL; without a private key, by a request to IAM."""
        payer = self._upload_options.get("user_project")
        url: str = self._blob(name).generate_signed_url(
            version="v4",
            expiration=self._lifetime,
            method="GET",
            credentials=self._signing_credentials(),
            query_parameters={"userProject": payer} if payer else None,
        )
        return url

    def _blob(self, name: str) -> Any:
        bucket = self._gcs().bucket(self.bucket_name, user_project=self._upload_options.get("user_project"))
        return bucket.blob(name, chunk_size=PART_BYTES, kms_key_name=self._upload_options.get("kms_key_name"))

    def _gcs(self) -> Any:
        with self._lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> Any:
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415 - an optional SDK
        from google.cloud import storage  # noqa: PLC0415

        options = {"api_endpoint": self._endpoint} if self._endpoint else None
        anonymous = storage.Client(project="none", credentials=AnonymousCredentials(), client_options=options)
        if anonymous.api_endpoint.startswith("http:"):
            return anonymous
        anonymous.close()
        credentials = self._known_credentials()
        return storage.Client(project=self._project_id or "none", credentials=credentials, client_options=options)

    def _known_credentials(self) -> Any:
        from google import auth  # noqa: PLC0415 - an optional SDK

        if self._credentials is None:
            self._credentials, project = auth.default(scopes=[SCOPE])
            self._project_id = self._project_id or project
        return self._credentials

    def _signing_credentials(self) -> Any:
        with self._lock:
            if self._signing is None:
                self._signing = self._new_signing_credentials()
            return self._signing

    def _new_signing_credentials(self) -> Any:
        from google.auth import credentials, iam  # noqa: PLC0415 - an optional SDK
        from google.oauth2 import service_account  # noqa: PLC0415

        own = self._known_credentials()
        if isinstance(own, credentials.Signing) and self._client_email in (None, own.signer_email):
            return own
        request = _request()
        if not own.valid:
            own.refresh(request)  # those of a virtual machine learn only now whose they are
        email = self._client_email or getattr(own, "service_account_email", None)
        if not email:
            raise StorageError(
                f"gs://{self.bucket_name}: {type(own).__name__} cannot sign URLs. Give client_email=, a service "
                "account that they may sign as (roles/iam.serviceAccountTokenCreator)"
            )
        signer = iam.Signer(request, own, email)
        return service_account.Credentials(signer, email, TOKEN_URI)


def _require_sdk() -> None:
    try:
        from google.cloud import storage  # noqa: F401, PLC0415 - an optional SDK
    except ImportError as exc:
        raise MissingDependencyError("google-cloud-storage", "gcs") from exc


def _patience() -> dict[str, Any]:
    from google.cloud.storage.retry import DEFAULT_RETRY  # noqa: PLC0415 - an optional SDK

    # A put that is repeated puts the same. 408, 429, 5xx and lost connections are tried again.
    retry = DEFAULT_RETRY.with_delay(initial=0.5, maximum=10, multiplier=2).with_deadline(RETRY_SECONDS)
    return {"timeout": (CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS), "retry": retry}


def _request() -> Any:
    from google.auth.transport.requests import Request  # noqa: PLC0415 - an optional SDK

    plain = Request()

    def request(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, **{"timeout": READ_TIMEOUT_SECONDS, **kwargs})

    return request


def _credentials_with_key(project_id: str | None, client_email: str | None, private_key: str) -> Any:
    from google.oauth2 import service_account  # noqa: PLC0415 - an optional SDK

    if not client_email:
        raise ConfigurationError("GCSStorageClient: private_key needs client_email, the account it belongs to")
    try:
        return service_account.Credentials.from_service_account_info(
            {
                "client_email": client_email,
                "private_key": _pem(private_key),
                "token_uri": TOKEN_URI,
                "project_id": project_id,
            },
            scopes=[SCOPE],
        )
    except ValueError:
        # Without the cause: it may quote the key.
        raise ConfigurationError("GCSStorageClient: private_key is no private key in PEM or base64") from None


def _pem(private_key: str) -> str:
    text = private_key.strip().strip("\"'").replace("\\n", "\n").replace("\\r", "")
    if "-----BEGIN" in text:
        return text
    try:
        return base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise ValueError from exc
