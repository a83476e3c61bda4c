"""Wait for a condition, with a deadline: no test sleeps and hopes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_STEP_S = 0.001
_LONGEST_STEP_S = 0.25


async def until(condition: Callable[[], T | Awaitable[T]], within_s: float = 60.0, what: str = "") -> T:
    """Return the first true answer of ``condition`` (plain or async), asked after 1 ms, later on every 250 ms.

    Raises AssertionError naming the condition where there is none within ``within_s`` seconds.
    """
    begun = time.monotonic()
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        waited_s = time.monotonic() - begun
        if waited_s > within_s:
            name = what or getattr(condition, "__qualname__", repr(condition))
            raise AssertionError(f"not within {within_s} s: {name}; the last answer was {answer!r}")
        # What takes long is asked for less often: asking for totals costs 10 ms of the processor that is awaited.
        await asyncio.sleep(min(_LONGEST_STEP_S, max(_STEP_S, waited_s / 8)))


def until_sync(condition: Callable[[], T], within_s: float = 60.0, what: str = "") -> T:
    """Do the same where no event loop runs."""

    async def ask() -> T:
        return condition()

    return asyncio.run(until(ask, within_s, what or getattr(condition, "__qualname__", repr(condition))))
