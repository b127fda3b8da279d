"""A planted bug is an edit of the source of one function, so it fits the function or it does not apply at all."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import CodeType, FunctionType
from typing import Any

from chainlit_dynamodb.testing.simulation.campaign import one

COLLECT_EVERY = 20


@dataclass(frozen=True)
class Mutant:
    """A planted bug.

    Attributes:
        name: What is wrong.
        function: Where.
        old: What its source says, exactly once.
        new: What it says instead.
    """

    name: str
    function: Callable[..., Any]
    old: str
    new: str

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Exchange the code of the function, so that everybody who has imported it has the bug."""
        function = _plain(self.function)
        sound, function.__code__ = function.__code__, self.code
        try:
            yield
        finally:
            function.__code__ = sound

    @cached_property
    def code(self) -> CodeType:
        """The code of the function with the bug."""
        function, module = _plain(self.function), inspect.getmodule(self.function)
        assert module is not None
        source = inspect.getsource(function)
        assert source.count(self.old) == 1, f"{self.name}: {function.__qualname__} has no place for it"
        edited = inspect.getsource(module).replace(source, source.replace(self.old, self.new))
        code = compile(edited, str(module.__file__), "exec", dont_inherit=True)
        for name in function.__qualname__.replace(".<locals>", "").split("."):
            code = next(c for c in code.co_consts if isinstance(c, CodeType) and c.co_name == name)
        return code


@dataclass(frozen=True)
class Hunt:
    """How a mutant was found: after how many schedules, breaking what; or not at all."""

    name: str
    schedules: int
    invariants: tuple[str, ...]


def hunt(mutant: Mutant, max_schedules: int) -> Hunt:
    """Let stories happen until one finds the mutant: it breaks an invariant with it, and does not without."""
    for seed in range(max_schedules):
        with mutant.planted():
            broken = one(seed).invariants
        found = tuple(sorted(broken.keys() - one(seed).invariants.keys())) if broken else ()
        if found:
            return Hunt(mutant.name, seed + 1, found)
        if seed % COLLECT_EVERY == 0:
            gc.collect()
    return Hunt(mutant.name, max_schedules, ())


def _plain(function: Callable[..., Any]) -> FunctionType:
    """Return a function without what decorates it."""
    plain = inspect.unwrap(function)
    assert isinstance(plain, FunctionType)
    return plain
