"""PostgreSQL ends a session: what is sent between its last words and the connection's end fails as an outage."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.clients.daemon import OUTAGES, Database, open_postgres
from backend.clients.servers import UnreachableError, naming_servers
from coffee_core.settings import Settings


@contextlib.asynccontextmanager
async def proxy(url: str, ended: asyncio.Event) -> AsyncIterator[str]:
    """Forward to PostgreSQL; keep from the client that it has closed the connection, and set ``ended`` then.

    So between the two lies as much time as one likes, not the milliseconds that a process takes to end.
    """
    login, _, server = url.partition("://")[2].rpartition("@")
    place, _, rest = server.partition("/")
    host, _, port = place.partition(":")

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(host, int(port))
        answers = asyncio.create_task(forward(from_server, writer))
        answers.add_done_callback(lambda _: ended.set())
        with contextlib.suppress(ConnectionError):
            await forward(reader, to_server)
        to_server.close()
        writer.close()
        await answers

    front = await asyncio.start_server(serve, "127.0.0.1")
    async with front:
        yield f"postgresql://{login}@127.0.0.1:{front.sockets[0].getsockname()[1]}/{rest}"


async def test_it_is_an_outage_and_the_server_cannot_be_reached(
    database_url: str, connection: Database, tmp_path: Path
) -> None:
    ended = asyncio.Event()
    async with proxy(database_url, ended) as url:
        session = await open_postgres(url)
        await connection.execute("select pg_terminate_backend($1)", session.get_server_pid())
        await ended.wait()
        for _ in range(3):  # what has arrived is read
            await asyncio.sleep(0)
        try:
            with pytest.raises(OUTAGES):
                await session.execute("select 1")
            with pytest.raises(UnreachableError), naming_servers(Settings(home=tmp_path)):
                await session.execute("select 1")
        finally:
            session.terminate()
            await asyncio.sleep(0)
