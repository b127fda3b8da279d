"""The worked example of docs/storage.md, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "storage.md"


def documented_client() -> str:
    """Return the module of the client."""
    return _blocks()[0]


def documented_line() -> str:
    """Return the line that makes it known to the package."""
    return _blocks()[1]


def _blocks() -> list[str]:
    section = DOCUMENT.read_text().partition("\n## Adding a storage client\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)
