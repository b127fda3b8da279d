"""Runs every benchmark."""

from __future__ import annotations

import sys

from benchmarks import storage_memory

sys.exit(storage_memory.main())
