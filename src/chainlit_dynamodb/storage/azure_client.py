"""What both Azure clients do alike: how many requests at a time, what errors mean, how CORS is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from chainlit_dynamodb.storage.azure_session import AzureSession
from chainlit_dynamodb.storage.base import CONCURRENCY, StorageClient, is_busy
from chainlit_dynamodb.storage.cors import EXPOSED_HEADERS, MAX_AGE_SECONDS

# The only condition that is ever asked for is "nothing there yet".
_TAKEN: Final = {"BlobAlreadyExists", "PathAlreadyExists", "ConditionNotMet", "TargetConditionNotMet"}


class AzureClient(StorageClient):
    """Attachments in one container of an account."""

    def __init__(
        self,
        container_name: str,
        place: str,
        session: AzureSession,
        *,
        prefix: str,
        options: Mapping[str, Any] | None,
        upload_options: dict[str, Any],
    ) -> None:
        """Take what the constructor of a client has checked.

        Args:
            container_name: The container.
            place: Where the files are, for messages.
            session: The way in; closed with this client.
            prefix: A folder inside the container, `""` for none.
            options: More arguments for the SDK's service client.
            upload_options: What is sent with every upload.
        """
        super().__init__(container_name, place)
        self.container_name = container_name
        self._session = session
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._prefix = prefix.strip("/")
        self._options = options or {}
        self._upload_options = upload_options

    async def _close(self) -> None:
        await self._session.close()

    def _cors_rule(self, origin: str) -> str:
        # It also holds for Data Lake.
        return (
            f"az storage cors add --account-name {self._session.account.name} --services b "
            f"--methods GET HEAD OPTIONS --origins {origin} --allowed-headers range "
            f"--exposed-headers {','.join(EXPOSED_HEADERS)} --max-age {MAX_AGE_SECONDS}"
        )

    def _is_taken(self, error: Exception) -> bool:
        return error_code(error) in _TAKEN

    def _is_transient(self, error: Exception) -> bool:
        from azure.core.exceptions import (  # noqa: PLC0415 - an optional SDK
            HttpResponseError,
            ServiceRequestError,
            ServiceResponseError,
        )

        if isinstance(error, HttpResponseError):
            return is_busy(error.status_code)
        return isinstance(error, ServiceRequestError | ServiceResponseError) or super()._is_transient(error)

    def _reason(self, error: Exception) -> str | None:
        from azure.core.exceptions import AzureError  # noqa: PLC0415 - an optional SDK

        if not isinstance(error, AzureError):
            return super()._reason(error)
        # What follows the first line may quote the request and its signature.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        code = error_code(error)
        return f"{code}: {reason}" if code else reason


def error_code(error: Exception) -> str:
    """Return the code in Azure's answer, `""` if there was none."""
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))
