"""More orders at once than there is room for: some are refused at once, and what was taken is there."""

import asyncio
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio import Redis

from backend.api.admission import MAX_IN_FLIGHT
from coffee_core.keys import STREAM
from tests.integration.backend.api.bench import Client, memory_mib
from tests.integration.backend.api.process import running
from tests.waiting import until

CONNECTIONS = MAX_IN_FLIGHT + 200
ROUNDS = 10


async def test_what_is_taken_under_overload_is_there_and_the_rest_is_refused(
    tmp_path: Path, redis_url: str, redis: "Redis[str]"
) -> None:
    answers: Counter[int] = Counter()
    async with running(tmp_path, REDIS_URL=redis_url, COFFEE_PIPELINES="v2") as api:
        await until(lambda: api.is_ready("v2"))
        port = urlsplit(api.base_url).port or 0
        clients = [await Client(port).open() for _ in range(CONNECTIONS)]

        async def insist(client: Client) -> None:
            for _ in range(ROUNDS):
                answers[await client.post()] += 1

        # Redis answers nobody for a moment, so that the room fills whatever this machine can do.
        await redis.execute_command("CLIENT", "PAUSE", 1_000, "WRITE")
        before = memory_mib(api.process.pid)
        await asyncio.gather(*map(insist, clients))
        assert memory_mib(api.process.pid) < before + 100
        assert (await api.order("v2"))[0] == 202, "it is as ever afterwards"
        for client in clients:
            client.close()
    # 504: this machine was so slow that an answer of Redis came too late.
    assert set(answers) <= {202, 429, 503, 504}
    assert answers[202] >= MAX_IN_FLIGHT // 2
    assert answers[429] + answers[503] > 0
    assert answers[202] + 1 <= await redis.xlen(STREAM) <= answers[202] + answers[504] + 1
