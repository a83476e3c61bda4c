"""What a program between a client and a server does with one connection: it passes on what either says."""

import asyncio
import contextlib
from collections.abc import Coroutine


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server_port: int) -> None:
    """Connect to a server on the loopback, and pass on until one of the two sides ends. Raises OSError."""
    back_reader, back_writer = await asyncio.open_connection("127.0.0.1", server_port)
    try:
        await _either(_pass(reader, back_writer), _pass(back_reader, writer))
    finally:
        await end(back_writer)


async def end(writer: asyncio.StreamWriter) -> None:
    """Close a connection at once, and wait until it is."""
    writer.transport.abort()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _either(*each: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.ensure_future(one) for one in each]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
