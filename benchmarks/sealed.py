"""What sealing costs: CPU time per call with and without a cipher, and the size of a step, beside the stub engine.

    python -m benchmarks.sealed

Both layers are in one process and measure a few calls in turn, many times, so that whatever else the machine does
hits both alike; the difference is the median of those of neighbours. The rows that the stub engine sends are
exchanged for sealed ones behind the parser, so that parsing the longer answer is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.chat import enter_chat, ours, prepare_environment, step
from benchmarks.cpu import CALLS, ROUNDS, STEPS, WARM_UP_ROUNDS, microseconds
from benchmarks.stub_engine import THREAD_ID, USER_ID, stub_engine
from chainlit_dynamodb import LocalKeys
from chainlit_dynamodb.dynamodb.aio_transport import AioTransport
from chainlit_dynamodb.dynamodb.codec import decode_item, encode_item, item_size_bytes
from chainlit_dynamodb.dynamodb.table import Table
from chainlit_dynamodb.rows.cipher import SealedTable
from chainlit_dynamodb.rows.keys import Keyring
from chainlit_dynamodb.testing.transports import Wrapped

TABLE: Final = "chats"
REGION: Final = "us-east-1"


class Kept:
    """A transport that keeps what is put."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self.item: dict[str, Any] = {}

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Keep an item."""
        self.item = dict(request["Item"])
        return {}

    async def close(self) -> None:
        """Do nothing."""


async def sealed_item(keys: Keyring, item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as it is in the table once it is sealed, both in DynamoDB's JSON."""
    kept = Kept()
    await SealedTable(Table(TABLE, kept), keys).put(decode_item(item))
    return kept.item


class SealedAnswers(Wrapped):
    """Exchanges the rows of a thread for sealed ones, which were made when they were first asked for."""

    def __init__(self, inner: Any) -> None:
        """Take the transport to the stub engine."""
        super().__init__(inner)
        self.keys: Keyring | None = None
        self._sealed: dict[str, list[dict[str, Any]]] = {}

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request."""
        answer = await super().call(operation, request)
        if operation != "Query" or self.keys is None:
            return answer
        first = answer["Items"][0]["SK"]["S"] if answer["Items"] else ""
        if first not in self._sealed:
            self._sealed[first] = [await sealed_item(self.keys, item) for item in answer["Items"]]
        return {**answer, "Items": self._sealed[first]}


def sealed_layer(url: str, folder: str) -> Any:
    """Make a layer that seals."""
    transport = SealedAnswers(AioTransport(TABLE, REGION, url, os.environ))
    layer = ours(TABLE, "", transport=transport, cipher=LocalKeys(Path(folder) / "keys"))
    transport.keys = layer.keys
    return layer


async def measure(url: str, folder: str, rounds: int) -> None:
    """Measure and print."""
    plain, sealed, numbers = ours(TABLE, url), sealed_layer(url, folder), itertools.count()
    enter_chat(THREAD_ID, USER_ID)
    print(f"CPU microseconds per call, median of {rounds} rounds\n")
    print("| | plain | sealed | difference |\n|---|--:|--:|--:|")
    for name in CALLS:
        found = [
            [await microseconds(layer, name, numbers) for layer in (plain, sealed)]
            for _ in range(WARM_UP_ROUNDS + rounds)
        ][WARM_UP_ROUNDS:]
        before, after = (statistics.median(column) for column in zip(*found, strict=True))
        difference = statistics.median(with_cipher - without for without, with_cipher in found)
        print(f"| {name} | {before:,.0f} | {after:,.0f} | {difference:,.0f} |")
    await say_sizes(sealed.keys)
    await plain.close()
    await sealed.close()


async def say_sizes(keys: Keyring) -> None:
    """Print how large a step is, plain and sealed."""
    item = encode_item({"PK": f"THREAD#{THREAD_ID}", "SK": "STEP#s", **step("s", THREAD_ID)})
    sizes = item_size_bytes(item), item_size_bytes(await sealed_item(keys, item))
    print("\nBytes of a step of 1 KB: {} plain, {} sealed".format(*sizes))


def main() -> None:
    """Run the stub engine, and measure beside it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sealed")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    prepare_environment()
    with stub_engine(STEPS) as url, tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(url, folder, options.rounds))


if __name__ == "__main__":
    main()
