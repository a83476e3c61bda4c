"""A server that takes a second for each new connection, as one on a busy machine does, refuses nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit
from uuid import uuid4

from backend.api.postgres_backend import PROBE_CONNECT_TIMEOUT_S, WARM_CONNECTIONS
from coffee_core.settings import Settings
from tests.integration.api.in_process import in_process
from tests.waiting import until

_SLOW_S = PROBE_CONNECT_TIMEOUT_S + 0.3


@dataclass
class _Relay:
    """Passes everything on; while it is slow, what comes anew waits before that."""

    host: str
    port: int
    slow: bool = False
    waited: int = 0

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.slow:
            self.waited += 1
            await asyncio.sleep(_SLOW_S)
        to_reader, to_writer = await asyncio.open_connection(self.host, self.port)
        await asyncio.gather(_copy(reader, to_writer), _copy(to_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)


@contextlib.asynccontextmanager
async def _relay(settings: Settings) -> AsyncIterator[tuple[_Relay, Settings]]:
    url = urlsplit(settings.database_url)
    relay = _Relay(url.hostname or "", url.port or 0)
    server = await asyncio.start_server(relay.pass_on, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    async with server:
        there = settings.database_url.replace(f"{relay.host}:{relay.port}", f"127.0.0.1:{own}")
        yield relay, replace(settings, given_database_url=there)


async def test_orders_wait_for_a_connection_that_is_slow_to_open(settings: Settings) -> None:
    async with _relay(settings) as (relay, through), in_process(through) as api:
        await until(lambda: api.is_ready("v1"))
        relay.slow = True
        keys = [str(uuid4()) for _ in range(4 * WARM_CONNECTIONS)]
        answers = await asyncio.gather(*(api.order("v1", key=key) for key in keys))
        assert {status for status, _ in answers} == {201}
        assert relay.waited, "no order has needed a new connection"
