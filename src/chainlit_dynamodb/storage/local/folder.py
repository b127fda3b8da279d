"""How attachments lie in a folder: hashed names, whole files or none, and the secret that signs URLs."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO

from chainlit_dynamodb.secret_file import kept_secret


@dataclass(frozen=True)
class LocalFile:
    """A stored file.

    Attributes:
        path: Where its content is.
        mime: Its media type as it was uploaded.
        content_disposition: The header it was uploaded with.
    """

    path: Path
    mime: str
    content_disposition: str | None


class FileFolder:
    """Files in a folder, each under the hash of its key; all methods block.

    A file is its content, under a name used only once, and a small card beside it that names the content and
    its type. The card appears, changes and goes in one step, so a reader finds the old file, the new one, or
    none.
    """

    def __init__(self, root: Path) -> None:
        """Name the folder; it is made when the first file or the secret is written.

        Args:
            root: The folder.
        """
        self.root = root
        self._cards = threading.Lock()

    @staticmethod
    def digest(object_key: bytes) -> str:
        """Hash a key, so that nothing a user wrote is ever part of a path.

        Args:
            object_key: The key in UTF-8.

        Returns:
            64 hexadecimal digits.
        """
        return blake2b(object_key, digest_size=32).hexdigest()

    def write(
        self, digest: str, content: IO[bytes], mime: str, content_disposition: str | None, overwrite: bool
    ) -> None:
        """Store a file.

        Args:
            digest: The hash of its key.
            content: What to store, read from where it stands.
            mime: Its media type.
            content_disposition: The header to send with it.
            overwrite: Whether an older file of this key is replaced.

        Raises:
            FileExistsError: The key is taken and `overwrite` is false.
            OSError: The disk refused.
        """
        card = self._card(digest)
        self._make_folders(card.parent)
        stored = card.with_name(f"{digest}.{secrets.token_hex(8)}")
        draft = stored.with_suffix(f"{stored.suffix}.draft")
        try:
            _write_synced(stored, content)
            fields = {"content": stored.name, "mime": mime, "contentDisposition": content_disposition}
            draft.write_text(json.dumps(fields), encoding="utf-8")
            self._publish(draft, card, overwrite)
        except BaseException:  # whatever it was is raised again
            stored.unlink(missing_ok=True)
            raise
        finally:
            draft.unlink(missing_ok=True)

    def find(self, digest: str) -> LocalFile | None:
        """Look a file up.

        Args:
            digest: The hash of its key.

        Returns:
            The file, or `None` if there is none.
        """
        try:
            fields = json.loads(self._card(digest).read_bytes())
            path = self._card(digest).with_name(fields["content"])
            return LocalFile(path, fields["mime"], fields["contentDisposition"]) if path.is_file() else None
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def delete(self, digest: str) -> None:
        """Delete a file, if it is there.

        Args:
            digest: The hash of its key.

        Raises:
            OSError: The disk refused.
        """
        with self._cards:
            stored = self.find(digest)
            self._card(digest).unlink(missing_ok=True)
        if stored:
            stored.path.unlink(missing_ok=True)

    def secret(self) -> bytes:
        """Read the secret of this folder, making it first if there is none yet.

        Returns:
            The same bytes in every process that uses the folder.

        Raises:
            StorageError: The file of the secret is damaged.
            OSError: The disk refused.
        """
        self._make_folders()
        return kept_secret(self.root / "url-secret")

    def _make_folders(self, *deeper: Path) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in deeper:
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)

    def _publish(self, draft: Path, card: Path, overwrite: bool) -> None:
        with self._cards:
            replaced = self.find(card.stem)
            if overwrite:
                draft.replace(card)
            else:
                os.link(draft, card)
        if replaced:
            replaced.path.unlink(missing_ok=True)

    def _card(self, digest: str) -> Path:
        return self.root / "files" / digest[:2] / f"{digest}.json"


def _write_synced(path: Path, content: IO[bytes]) -> None:
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, 1024 * 1024)
        file.flush()
        os.fsync(file.fileno())
