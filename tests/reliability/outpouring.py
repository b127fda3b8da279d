"""A process that is told half a gigabyte while its table refuses connections. It prints by how much it grew.

Run as `python -m tests.reliability.outpouring ENDPOINT TABLE`.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import sys
from pathlib import Path

from chainlit_dynamodb import DynamoDBDataLayer
from chainlit_dynamodb.testing.faults import FaultPlan, FaultProxy
from tests.contract.chats import start_thread, tool

STATUS = Path("/proc/self/status")
"""Not `getrusage`: that remembers the process this one was forked from."""
UPDATES = 10_000
UPDATE_BYTES = 50_000
_KB = 1024


async def grow(endpoint_url: str, table: str) -> int:
    """Begin updates that nobody awaits, and return by how many bytes the process has grown at most."""
    async with FaultProxy(endpoint_url, FaultPlan()) as proxy:
        layer = DynamoDBDataLayer(table, endpoint_url=proxy.url, close_seconds=0.1)
        await start_thread(layer)
        outage = asyncio.create_task(proxy.outage_until(asyncio.Event()))
        await asyncio.sleep(0.1)
        gc.collect()
        before = _most_bytes()
        tasks = set()
        for number in range(UPDATES):
            tasks.add(asyncio.create_task(layer.update_step(tool(f"s{number}", output=_text()))))
            await asyncio.sleep(0)
        await asyncio.sleep(5)
        assert layer.backlog.changes == len(tasks) == UPDATES
        grown = _most_bytes() - before
        await layer.close()
        outage.cancel()
        return grown


def _text() -> str:
    return base64.b64encode(os.urandom(UPDATE_BYTES * 3 // 4)).decode()


def _most_bytes() -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * _KB


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(grow(*sys.argv[1:]))}\n")
