"""Read URLs and how long they are handed out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from cachetools import TLRUCache

KEPT_URLS: Final = 2_000
"""With the session token of a role a URL has up to 2 KB, so these are 4 MB at most."""


@dataclass(frozen=True)
class SignedURL:
    """A read URL that was signed right now.

    Attributes:
        url: The URL. Whoever has it can read the file, so it is no part of `repr`.
        lives_seconds: How long it opens the file.
    """

    url: str
    lives_seconds: float

    def __repr__(self) -> str:
        """Show no URL."""
        return f"SignedURL(lives_seconds={self.lives_seconds:g})"


class KeptURLs:
    """Hands a URL out for half its life: a browser finds what it has read before, and nothing is signed twice."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        # By the clock on the wall, because URLs end by it, also while a laptop sleeps.
        self._urls: TLRUCache[str, SignedURL] = TLRUCache(KEPT_URLS, _ends, timer=time.time)

    def get(self, name: str) -> str | None:
        """Return the URL of an object, if one is young enough."""
        kept = self._urls.get(name)
        return kept.url if kept else None

    def keep(self, name: str, signed: SignedURL) -> str:
        """Keep a URL of an object, and return it."""
        self._urls[name] = signed
        return signed.url

    def forget(self, name: str) -> None:
        """Hand the URL of an object out no longer: a browser may have kept what it opened."""
        self._urls.pop(name, None)


def _ends(_: str, signed: SignedURL, now: float) -> float:
    return now + signed.lives_seconds / 2
