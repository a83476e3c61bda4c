"""SIGTERM under load: whatever was answered with 2xx is there, and what is in hand is answered."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from redis.asyncio import Redis

from coffee_core.ids import new_message_id
from coffee_core.keys import STREAM
from tests.integration.backend.api.process import ORDER, running
from tests.servers import free_port
from tests.waiting import until

CLIENTS = 20


class Load:
    """Clients that post one order after the other, whether it works or not, until they are told to stop."""

    def __init__(self, url: str, pipeline: str) -> None:
        self._url = f"{url}/api/{pipeline}/order"
        self._stop = False
        self.accepted: list[str] = []
        self.refused: set[int] = set()

    async def run(self) -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._client(session) for _ in range(CLIENTS)))

    def stop(self) -> None:
        self._stop = True

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while not self._stop:
            key = str(new_message_id())
            try:
                async with session.post(self._url, json=ORDER, headers={"Idempotency-Key": key}) as answer:
                    await answer.read()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.01)  # nobody listens at the moment
                continue
            if answer.status < 300:
                self.accepted.append(key)
            else:
                self.refused.add(answer.status)


async def _there(pipeline: str, database: "asyncpg.Connection[Any]", redis: "Redis[str]") -> set[str]:
    if pipeline == "v1":
        return {str(row[0]) for row in await database.fetch("SELECT message_id FROM orders")}
    return {fields["message_id"] for _, fields in await redis.xrange(STREAM)}


@pytest.mark.parametrize("pipeline", ["v1", "v2"])
async def test_a_restart_under_load_loses_no_order_that_was_accepted(
    tmp_path: Path,
    database_url: str,
    redis_url: str,
    database: "asyncpg.Connection[Any]",
    redis: "Redis[str]",
    pipeline: str,
) -> None:
    port = free_port()
    env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "COFFEE_PIPELINES": pipeline}
    load = Load(f"http://127.0.0.1:{port}", pipeline)
    async with asyncio.TaskGroup() as tasks:
        for number in (1, 2):
            async with running(tmp_path, port, **env) as api:
                await until(lambda api=api: api.is_ready(pipeline))
                before = len(load.accepted)
                if number == 1:
                    tasks.create_task(load.run())
                await until(lambda before=before: len(load.accepted) > before + 100, 30)
                if number == 1:
                    api.process.send_signal(signal.SIGTERM)
                    assert await asyncio.to_thread(api.process.wait, 20) == 0
                else:
                    load.stop()
    assert set(load.accepted) <= await _there(pipeline, database, redis)
    assert load.refused <= {503}, "from its start until it is ready, it refuses"
