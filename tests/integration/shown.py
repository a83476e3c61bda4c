"""What the six metric keys say, and what the table says, as values to compare."""

from redis.asyncio import Redis

from backend.clients.daemon import Database
from coffee_core.keys import MetricKeys
from coffee_core.totals import Totals


async def shown(client: Redis, keys: MetricKeys) -> Totals:
    """Return the metrics as Redis holds them; what is missing is missing in the value too."""

    async def mapping(key: str) -> dict[str, int]:
        return {field: int(value) for field, value in (await client.hgetall(key)).items()}

    return Totals(
        int(await client.get(keys.total_orders) or 0),
        int(await client.get(keys.total_revenue) or 0),
        await mapping(keys.drink_counts),
        await mapping(keys.drink_revenue),
        await mapping(keys.store_counts),
        await mapping(keys.store_revenue),
    )


async def stored(connection: Database, version: str) -> Totals:
    """Add up the rows of a pipeline."""
    rows = await connection.fetch(
        "select drink, store, count(*), sum(price_cents)::bigint from orders where version = $1 group by 1, 2",
        version,
    )
    return Totals.of_groups(tuple(row) for row in rows)


async def latency_count(client: Redis, keys: MetricKeys) -> int:
    """Return how many orders the latency histogram holds."""
    return sum(int(count) for count in await client.hvals(keys.latency))
