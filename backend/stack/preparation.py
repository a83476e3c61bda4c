"""What the Java parts need before their first start, said aloud while it is done."""

import asyncio

from backend.stack.jars import JarPaths, ensure_jars
from backend.stack.progress import say

_MEGABYTE = 1_000_000


def _say_bytes(done: int, total: int) -> None:
    say(f"fetching jars, {done / _MEGABYTE:.0f} of {total / _MEGABYTE:.0f} MB")


async def fetch_jars() -> JarPaths:
    """Return the verified jars, telling of the bytes while they are fetched. Raises StackError."""
    return await asyncio.to_thread(ensure_jars, _say_bytes)
