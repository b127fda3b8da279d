"""Every storage client of this package, one line each. A client is imported when it is first used."""

from __future__ import annotations

from collections.abc import Set
from typing import Final, NamedTuple


class ClientEntry(NamedTuple):
    """Where a client is found, and which URLs name it.

    Attributes:
        module: Its module in this folder.
        class_name: The class in it, whose `from_url` takes a `StorageURL`.
        example: The shortest URL that names it; its scheme is that of all its URLs.
        options: What may stand behind the `?` of its URLs, besides `url_lifetime_seconds`.
    """

    module: str
    class_name: str
    example: str
    options: Set[str] = frozenset()

    @property
    def scheme(self) -> str:
        """The scheme of its URLs."""
        return self.example.partition(":")[0]


CLIENTS: Final = (
    ClientEntry("s3", "S3StorageClient", "s3://bucket", {"region", "endpoint_url"}),
    ClientEntry("azure_blob", "AzureBlobStorageClient", "az://account/container", {"account_url", "endpoint_suffix"}),
    ClientEntry(
        "azure_data_lake",
        "AzureStorageClient",
        "abfss://container@account.dfs.core.windows.net",
        {"account_url", "blob_url"},
    ),
    ClientEntry("gcs", "GCSStorageClient", "gs://bucket", {"project_id", "client_email", "endpoint"}),
    ClientEntry("local", "LocalStorageClient", "file:///path"),
)
EXAMPLES: Final = ", ".join(entry.example for entry in CLIENTS)
