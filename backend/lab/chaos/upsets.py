"""Faults that are done through a connection: to rows, to logs, to keys, to memory."""

import asyncio

from redis.asyncio import Redis

from backend.daemon import open_postgres
from backend.lab.chaos.faults import Fault
from backend.lab.chaos.guard import Guard
from backend.lab.chaos.poison import poison_stream, poison_topic
from backend.lab.chaos.resources import sql
from backend.lab.chaos.scene import Done, Scene
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline

_STORM_ORDERS, _STORM_TIMES = 300, 5


async def lock(_fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Lock the orders for a time."""
    connection = await open_postgres(scene.site.settings.database_url)
    try:
        async with connection.transaction():
            # From the moment it is asked for: everyone who comes later waits behind it already.
            scene.struck()
            await connection.execute(sql("lock"))
            await asyncio.sleep(lasts_s)
    finally:
        # The server lets go of the lock with the connection, also where we are killed.
        connection.terminate()
    return Done(f"locked the orders for {lasts_s:g} s", problem=await scene.still_down())


async def poison(fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Put messages that cannot be stored into a log."""
    pipeline = fault.log
    assert pipeline is not None
    put = poison_stream if pipeline is Pipeline.V2 else poison_topic
    client = scene.clients.get(pipeline)
    scene.struck()
    count = await put(scene.site.settings, client.first_accepted() if client else None)
    return Done(f"put {count} poison messages into the log of {pipeline}", count)


async def storm(_fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Repeat the last orders of each client."""
    scene.struck()
    await asyncio.gather(*(client.storm(_STORM_ORDERS, _STORM_TIMES) for client in scene.clients.values()))
    return Done(f"sent the last {_STORM_ORDERS} orders of each pipeline {_STORM_TIMES} times more, at once")


async def flush(_fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Delete the metric keys."""
    keys = [key for pipeline in scene.pipelines for key in MetricKeys(pipeline).metrics]
    async with Redis.from_url(scene.site.settings.redis_url, socket_timeout=5) as client:
        scene.struck()
        await client.delete(*keys)
    return Done(f"deleted the metric keys of {', '.join(scene.pipelines)}")


async def fill_memory(_fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Let Redis refuse whatever needs memory, for a time."""
    with Guard() as guard:
        scene.struck()
        guard.fill_memory(scene.site.settings.redis_url)
        await asyncio.sleep(lasts_s)
    return Done(f"left redis without free memory for {lasts_s:g} s", problem=await scene.still_down())
