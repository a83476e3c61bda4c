"""TLS before a server whose own build has none, as stunnel does it: ends TLS, passes on what is inside."""

import asyncio
import contextlib
import ssl
import struct
import threading
from collections.abc import Iterator

from tests.outside.passing import pass_on

_POSTGRES_SSL_REQUEST = struct.pack("!ii", 8, 80_877_103)


@contextlib.contextmanager
def tls_front(context: ssl.SSLContext, server_port: int, *, postgres: bool = False) -> Iterator[int]:
    """Listen for the length of the block and return the port; nobody gets through without TLS.

    With ``postgres`` TLS begins as PostgreSQL's protocol has it: after a request in plain text.
    """
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, ssl.SSLError):
            try:
                if postgres:
                    if await reader.readexactly(8) != _POSTGRES_SSL_REQUEST:
                        return
                    writer.write(b"S")
                    await writer.start_tls(context)
                await pass_on(reader, writer, server_port)
            finally:
                writer.transport.abort()

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if postgres else context)

    async def close() -> None:
        server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
