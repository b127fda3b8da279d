"""Runs every benchmark."""

from __future__ import annotations

import sys

from benchmarks import cost, large, latency, storage_memory

latency.main()
print()
cost.main()
print()
large.main()
print()
sys.exit(storage_memory.main())
