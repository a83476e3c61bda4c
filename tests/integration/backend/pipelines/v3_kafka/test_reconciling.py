"""v3 on a schedule: compared, reported, and left alone."""

from pathlib import Path

from redis.asyncio import Redis

from tests.integration.backend.pipelines.job import KEYS, Job, done_with
from tests.integration.daemons import daemon, log_of
from tests.waiting import until


async def test_a_drift_of_v3_is_said_and_not_touched(job: Job, tmp_path: Path, client: Redis) -> None:
    await done_with(job)
    await client.incr(KEYS.total_orders)
    every = {
        "COFFEE_RECONCILE_INTERVAL_S": "1",
        "COFFEE_PIPELINES": "v1,v3",
        "KAFKA_BOOTSTRAP_SERVERS": job.settings.kafka_servers,
    }
    where = (job.settings.database_url, job.settings.redis_url)
    async with daemon("backend.pipelines.v1_direct.aggregator", tmp_path, *where, **every):
        await until(lambda: "`coffee replay v3` counts the whole topic anew" in log_of(tmp_path), within_s=60)
    assert "v3: adrift by -1 orders" in log_of(tmp_path)
    assert await client.get(KEYS.total_orders) == "7"
