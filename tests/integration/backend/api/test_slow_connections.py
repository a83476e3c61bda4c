"""A server that takes a second for each new connection, as one on a busy machine does, refuses nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit
from uuid import uuid4

from backend.clients.postgres import PROBE_CONNECT_TIMEOUT_S, WARM_CONNECTIONS
from coffee_core.settings import Settings
from tests.integration.backend.api.in_process import in_process
from tests.outside.passing import end, pass_on
from tests.waiting import until

_SLOW_S = PROBE_CONNECT_TIMEOUT_S + 0.3


@dataclass
class _Relay:
    """Passes everything on; while it is slow, what comes anew waits before that."""

    port: int
    slow: bool = False
    waited: int = 0
    serving: set["asyncio.Task[None]"] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self.serving.add(serving)
        if self.slow:
            self.waited += 1
            await asyncio.sleep(_SLOW_S)
        with contextlib.suppress(OSError):
            await pass_on(reader, writer, self.port)
        await end(writer)


@contextlib.asynccontextmanager
async def _relay(settings: Settings) -> AsyncIterator[tuple[_Relay, Settings]]:
    port = urlsplit(settings.database_url).port
    assert port is not None
    relay = _Relay(port)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    async with server:
        there = settings.database_url.replace(f"127.0.0.1:{port}", f"127.0.0.1:{own}")
        yield relay, replace(settings, given_database_url=there)
        await asyncio.gather(*relay.serving)  # whose connections the API has closed


async def test_orders_wait_for_a_connection_that_is_slow_to_open(settings: Settings) -> None:
    async with _relay(settings) as (relay, through), in_process(through) as api:
        await until(lambda: api.is_ready("v1"))
        relay.slow = True
        keys = [str(uuid4()) for _ in range(4 * WARM_CONNECTIONS)]
        answers = await asyncio.gather(*(api.order("v1", key=key) for key in keys))
        assert {status for status, _ in answers} == {201}
        assert relay.waited, "no order has needed a new connection"
