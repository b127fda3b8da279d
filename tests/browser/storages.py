"""Each storage as a deployment would have it: a fresh bucket or folder, its URL, and its rule for other origins."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, CorsRule
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from chainlit_dynamodb.ops.create_bucket import create_bucket
from chainlit_dynamodb.testing.azurite import ACCOUNT, ACCOUNT_KEY
from tests.browser.chat_server import aws_client
from tests.conftest import REGION

EXPOSED = ["Content-Length", "Content-Range", "Accept-Ranges", "Content-Type"]


@dataclass(frozen=True)
class DeployedStorage:
    """A storage for one server.

    Attributes:
        url: What `CHAINLIT_STORAGE_URL` is set to.
        allow: Lets pages of an origin read its files, by the rule of docs/storage.md.
        names: Gives the names of everything in it, as the engine or the disk lists them.
        variables: Where the SDK finds its credentials.
    """

    url: str
    allow: Callable[[str], None]
    names: Callable[[], list[str]]
    variables: Mapping[str, str] = field(default_factory=dict)


def _fresh_name() -> str:
    return f"attachments-{uuid.uuid4()}"


def on_s3(engine_url: str) -> DeployedStorage:
    """A bucket on an engine for S3."""
    bucket, client = _fresh_name(), aws_client("s3", engine_url)
    create_bucket(client, bucket)

    def allow(origin: str) -> None:
        rule = {
            "AllowedOrigins": [origin],
            "AllowedMethods": ["GET", "HEAD"],
            "AllowedHeaders": ["Range"],
            "ExposeHeaders": EXPOSED,
            "MaxAgeSeconds": 3600,
        }
        client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})

    def names() -> list[str]:
        return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    return DeployedStorage(f"s3://{bucket}?region={REGION}&endpoint_url={engine_url}", allow, names)


def _on_azurite(azurite_url: str, url: str, container: str) -> DeployedStorage:
    def allow(origin: str) -> None:
        rule = CorsRule(
            [origin],
            ["GET", "HEAD", "OPTIONS"],
            allowed_headers=["range"],
            exposed_headers=EXPOSED,
            max_age_in_seconds=3600,
        )
        with BlobServiceClient(azurite_url, credential=ACCOUNT_KEY) as account:
            account.set_service_properties(cors=[rule])

    def names() -> list[str]:
        with BlobServiceClient(azurite_url, credential=ACCOUNT_KEY) as account:
            return list(account.get_container_client(container).list_blob_names())

    with BlobServiceClient(azurite_url, credential=ACCOUNT_KEY) as account:
        account.create_container(container)
    return DeployedStorage(url, allow, names, {"AZURE_STORAGE_KEY": ACCOUNT_KEY})


def on_azure_blob(azurite_url: str) -> DeployedStorage:
    """A container on Azurite."""
    container = _fresh_name()
    return _on_azurite(azurite_url, f"az://{ACCOUNT}/{container}?account_url={azurite_url}", container)


def on_data_lake(azurite_url: str, shim_url: str) -> DeployedStorage:
    """A container on Azurite, written to through the shim."""
    container = _fresh_name()
    options = f"account_url={shim_url}&blob_url={azurite_url}"
    return _on_azurite(azurite_url, f"abfss://{container}@{ACCOUNT}.dfs.core.windows.net?{options}", container)


def on_gcs(engine_url: str, folder: Path) -> DeployedStorage:
    """A bucket on a server for Google Cloud Storage; the key of a service account goes to a folder."""
    bucket = _fresh_name()
    buckets = f"{engine_url}/storage/v1/b"

    def allow(origin: str) -> None:
        rule = {
            "origin": [origin],
            "method": ["GET", "HEAD"],
            "responseHeader": ["Range", *EXPOSED],
            "maxAgeSeconds": 3600,
        }
        _google("PATCH", f"{buckets}/{bucket}", {"cors": [rule]})

    def names() -> list[str]:
        return [found["name"] for found in _google("GET", f"{buckets}/{bucket}/o").get("items", [])]

    _google("POST", f"{buckets}?project=test", {"name": bucket})
    key_file = folder / "service-account.json"
    key_file.write_text(json.dumps(_service_account()))
    variables = {"GOOGLE_APPLICATION_CREDENTIALS": str(key_file)}
    return DeployedStorage(f"gs://{bucket}?endpoint={engine_url}", allow, names, variables)


def _google(method: str, url: str, body: Any = None) -> Any:
    response = httpx.request(method, url, json=body, trust_env=False)
    response.raise_for_status()
    return response.json()


def _service_account() -> dict[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {
        "type": "service_account",
        "project_id": "test",
        "client_email": "signer@test.iam.gserviceaccount.com",
        "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }


def on_disk(folder: Path) -> DeployedStorage:
    """A folder of this machine, whose files have the origin of the chat."""

    def names() -> list[str]:
        return [path.name for path in folder.rglob("*") if path.is_file() and path.name != "url-secret"]

    return DeployedStorage(folder.as_uri(), lambda _: None, names)
