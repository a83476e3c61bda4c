"""Polls for what other processes do, for which there is no event to wait on."""

import asyncio
from collections.abc import Callable


async def poll(condition: Callable[[], bool], step_s: float, within_s: float | None = None) -> bool:
    """Check a condition every ``step_s`` until it holds or the time is up; return whether it holds."""
    try:
        async with asyncio.timeout(within_s):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(step_s)
    except TimeoutError:
        return condition()
    return True
