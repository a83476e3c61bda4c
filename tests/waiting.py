"""Wait for a condition, with a deadline: no test sleeps and hopes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_STEP_S = 0.02


async def until(condition: Callable[[], T | Awaitable[T]], within_s: float = 10.0, what: str = "") -> T:
    """Return the first true answer of ``condition`` (plain or async), asked every 20 ms.

    Raises AssertionError naming the condition where there is none within ``within_s`` seconds.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            name = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {within_s} s: {name}; the last answer was {answer!r}")
        await asyncio.sleep(_STEP_S)


def until_sync(condition: Callable[[], T], within_s: float = 10.0, what: str = "") -> T:
    """Do the same where no event loop runs."""

    async def ask() -> T:
        return condition()

    return asyncio.run(until(ask, within_s, what or getattr(condition, "__qualname__", repr(condition))))
