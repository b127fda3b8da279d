"""Runs every benchmark."""

from __future__ import annotations

import sys

from benchmarks import cost, latency, storage_memory

latency.main()
print()
cost.main()
print()
sys.exit(storage_memory.main())
