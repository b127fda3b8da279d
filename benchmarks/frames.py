"""The way of a call through the code: the named frames from `create_step` and `get_thread` to the socket, and back.

    python -m benchmarks.frames                  # this checkout
    python -m benchmarks.frames --against PATH   # another checkout, then this one

The way to the socket is what stands on the stack when aiohttp sends the request. Where a task handed over to another,
the stack that made the other task comes first, then a line. What runs after the answer is listed with its number of
calls, for a thread of three steps. asyncio's own frames are left out, and so is what has no name, as comprehensions.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from inspect import currentframe
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final
from unittest.mock import patch

import aiohttp

from benchmarks.chat import enter_chat, ours, prepare_environment, step
from benchmarks.stub_engine import THREAD_ID, USER_ID, stub_engine

THIS: Final = Path(__file__).parents[1]
STEPS: Final = 3
PACKAGE: Final = "chainlit_dynamodb"
HANDED_OVER: Final = "— handed over to the task of the row —"
NOT_SHOWN: Final = ("asyncio.", "benchmarks.", "runpy.", "__main__.")
GENERATED: Final = "<string>"
"""Where dataclasses say that their methods come from."""

Stack = list[CodeType | None]
"""Outermost first; `None` stands between two tasks."""


class Names:
    """Tells frames by name."""

    def __init__(self) -> None:
        """Know none."""
        self._modules: dict[CodeType, str] = {}

    def note(self, frame: FrameType) -> CodeType:
        """Return a frame's code, whose module is remembered."""
        self._modules[frame.f_code] = str(frame.f_globals.get("__name__", "?"))
        return frame.f_code

    def module(self, code: CodeType) -> str:
        """Return the module of a code object."""
        return self._modules[code]

    def is_shown(self, code: CodeType) -> bool:
        """Return whether it has a name and is neither asyncio's nor this script's."""
        is_named = not code.co_name.startswith("<") and code.co_filename != GENERATED
        return is_named and not f"{self.module(code)}.".startswith(NOT_SHOWN)

    def is_ours(self, code: CodeType) -> bool:
        """Return whether it is the package's own."""
        return f"{self.module(code)}.".startswith(f"{PACKAGE}.")

    def line(self, code: CodeType) -> str:
        """Return it as it is printed."""
        qualified: str = getattr(code, "co_qualname", code.co_name)  # Python 3.10 has no qualified names
        return f"{self.module(code)}:{qualified}"


class Way:
    """Watches one call: every task it makes, the first request it sends, and what runs after the answer."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.names = Names()
        self.there: Stack = []
        self.back: Counter[CodeType] = Counter()
        self._makers: dict[asyncio.Task[Any], Stack] = {}

    async def watch(self, call: Coroutine[Any, Any, object]) -> None:
        """Await a call and watch it."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(self._make_task)
        try:
            send = vars(aiohttp.ClientSession)["_request"]
            with patch.object(aiohttp.ClientSession, "_request", self._watched(send)):
                await asyncio.create_task(call)
        finally:
            sys.setprofile(None)
            loop.set_task_factory(None)

    def _watched(self, send: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def watched(*args: Any, **options: Any) -> object:
            self.there = self.there or self._whole_stack(currentframe())
            try:
                return await send(*args, **options)
            finally:
                sys.setprofile(self._ran)

        return watched

    def _make_task(self, loop: asyncio.AbstractEventLoop, call: Any, **options: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(call, loop=loop, **options)
        self._makers[task] = self._whole_stack(currentframe())
        return task

    def _whole_stack(self, innermost: FrameType | None) -> Stack:
        """Return what is on the stack, and before it what made the running task."""
        frames = [self.names.note(frame) for frame in _outwards(innermost)]
        shown: Stack = [code for code in reversed(frames) if self.names.is_shown(code)]
        task = asyncio.current_task()
        made_by = self._makers.get(task, []) if task is not None else []
        return [*made_by, None, *shown] if made_by else shown

    def _ran(self, frame: FrameType, event: str, argument: object) -> None:  # noqa: ARG002 - a profiler's signature
        code = self.names.note(frame)
        is_new = event == "call" and code not in self.there
        if is_new and self.names.is_ours(code) and self.names.is_shown(code):
            self.back[code] += 1


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


async def _print_way(title: str, call: Coroutine[Any, Any, object]) -> None:
    way = Way()
    await way.watch(call)
    frames = [code for code in way.there if code is not None]
    ours_there = sum(map(way.names.is_ours, frames))
    print(f"{title}: {len(frames)} named frames to the socket: {ours_there} ours, {len(frames) - ours_there} others'")
    for code in way.there:
        print(f"    {HANDED_OVER if code is None else way.names.line(code)}")
    print(f"  after the answer: {len(way.back)} more functions of ours")
    for code, times in way.back.items():
        print(f"    {way.names.line(code)} ({times})")
    print()


async def show(url: str) -> None:
    """Print the way of both calls in this process's checkout."""
    layer = ours("chats", url)
    enter_chat(THREAD_ID, USER_ID)
    await layer.create_step(step("first", THREAD_ID))  # opens the connection, and learns that the thread is there
    await _print_way("create_step", layer.create_step(step("new", THREAD_ID)))
    await _print_way("get_thread", layer.get_thread(THREAD_ID))
    await layer.close()


def show_checkout(checkout: Path, url: str) -> None:
    """Print the same of any checkout, from a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    subprocess.run([sys.executable, "-m", "benchmarks.frames", "--url", url], cwd=THIS, env=environment, check=True)


def main() -> None:
    """Print the frames."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frames")
    parser.add_argument("--against", type=Path, help="another checkout, shown before this one")
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    prepare_environment()
    if options.url:
        asyncio.run(show(options.url))
        return
    with stub_engine(STEPS) as url:
        if options.against:
            print("== before\n", flush=True)
            show_checkout(options.against.resolve(), url)
            print("== after\n", flush=True)
        show_checkout(THIS, url)


if __name__ == "__main__":
    main()
