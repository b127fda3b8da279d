"""How much of it a browser may send. What is more is cut or refused, and said in the log."""

from __future__ import annotations

from typing import Final

NAME_CHARS: Final = 10_000
"""A thread's name is its first message, which may be a book."""
SEARCH_CHARS: Final = 1_000
"""What is searched for is compared with every name."""
COMMENT_CHARS: Final = 100_000
"""Comments come with every reading of their thread."""
TAGS: Final = 100
TAG_CHARS: Final = 1_000
METADATA_BYTES: Final = 8 * 1024 * 1024
"""Of a thread. A session tells all of its own when it ends, its chat settings among them."""
ELEMENTS_PER_MESSAGE: Final = 1_000
