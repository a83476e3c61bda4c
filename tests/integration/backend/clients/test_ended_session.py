"""PostgreSQL ends a session: what is sent between its last words and the connection's end fails as an outage."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backend.clients.daemon import OUTAGES, Database, open_postgres
from backend.clients.servers import UnreachableError, naming_servers
from backend.stack.relay import WHOLE, Condition, Link, Listener, listen
from coffee_core.settings import Settings
from tests.waiting import until

HOST = "127.0.0.1"
GONE = "select not exists (select from pg_stat_activity where pid = $1)"


@contextlib.asynccontextmanager
async def without_an_end(url: str) -> AsyncIterator[str]:
    """Relay to PostgreSQL; keep from the client that it has closed the connection.

    So between its last words and that lies as much time as one likes, not the milliseconds of a process that ends.
    """
    port, link = urlsplit(url).port, Link("client:postgres")
    assert port is not None
    link.put(WHOLE, Condition(closes_late=True))
    async with await listen(Listener(0, port, link), HOST) as relay:
        yield url.replace(f"{HOST}:{port}", f"{HOST}:{relay.sockets[0].getsockname()[1]}")
        link.reset()


async def test_it_is_an_outage_and_the_server_cannot_be_reached(
    database_url: str, connection: Database, tmp_path: Path
) -> None:
    async with without_an_end(database_url) as url:
        session = await open_postgres(url)
        pid = session.get_server_pid()
        await connection.execute("select pg_terminate_backend($1)", pid)
        await until(lambda: connection.fetchval(GONE, pid))
        for _ in range(5):  # what has arrived is passed on, and read
            await asyncio.sleep(0)
        try:
            with pytest.raises(OUTAGES):
                await session.execute("select 1")
            with pytest.raises(UnreachableError), naming_servers(Settings(home=tmp_path)):
                await session.execute("select 1")
        finally:
            session.terminate()
