"""What the Java parts need before their first start, said aloud while it is done."""

import asyncio

from backend.stack.bytecode import compile_bytecode
from backend.stack.jars import JarPaths, ensure_jars
from backend.stack.progress import say

_MEGABYTE = 1_000_000
_BAR_CELLS = 20


def _bar(done: int, total: int) -> str:
    full = _BAR_CELLS * done // max(total, 1)
    return "█" * full + "░" * (_BAR_CELLS - full)


def _say_bytes(done: int, total: int) -> None:
    say(f"fetching jars {_bar(done, total)} {done / _MEGABYTE:.0f} of {total / _MEGABYTE:.0f} MB")


async def fetch_jars() -> JarPaths:
    """Return the verified jars, telling of the bytes while they are fetched. Raises StackError."""
    return await asyncio.to_thread(ensure_jars, _say_bytes)


def _say_files(done: int, total: int) -> None:
    say(f"compiling PyFlink once {_bar(done, total)} {done:,} of {total:,} files")


async def compile_wheel() -> None:
    """Compile the bytecode of PyFlink, telling of the files."""
    await asyncio.to_thread(compile_bytecode, _say_files)
