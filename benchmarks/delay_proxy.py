"""A TCP proxy that hands on every byte a fixed time late, in a process of its own.

In a process of its own, since a data layer that blocks its event loop would else hold up the proxy too.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

HOST = "127.0.0.1"


@contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """Run a proxy for the length of a `with` block.

    Args:
        url: What it stands in front of.
        seconds: How late a request gets there; answers come back at once.
    """
    command = [sys.executable, "-m", "benchmarks.delay_proxy", url, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://{HOST}:{int(process.stdout.readline())}"
        finally:
            process.terminate()


async def serve(url: str, seconds: float) -> None:
    """Serve until the process ends."""
    target = urlsplit(url)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(_pump(reader, to_writer, seconds), _pump(to_reader, writer, 0))

    server = await asyncio.start_server(handle, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Hand on bytes, each chunk as late as the other, so that a long request is no later than a short one."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    clock = asyncio.get_running_loop().time

    async def receive() -> None:
        try:
            while data := await reader.read(64 * 1024):
                queue.put_nowait((clock() + seconds, data))
        except ConnectionError:
            pass
        queue.put_nowait((clock(), b""))

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, data = await queue.get()
            await asyncio.sleep(due - clock())
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        receiving.cancel()
        writer.close()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
