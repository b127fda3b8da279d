"""Attachments in a folder: the client, the files on disk, their signed URLs, and the route that serves them."""

from chainlit_dynamodb.storage.local.client import LocalStorageClient

__all__ = ["LocalStorageClient"]
