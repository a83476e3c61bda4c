"""Does what a fault says, and undoes it where it is of a kind that lasts."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis

from backend.daemon import open_postgres
from backend.lab.chaos.client import Client
from backend.lab.chaos.faults import Deed, Fault
from backend.lab.chaos.frozen import frozen
from backend.lab.chaos.poison import poison_stream, poison_topic
from backend.lab.chaos.resources import sql
from backend.lab.chaos.site import Site
from backend.lab.servers import naming_servers
from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline

_BACK_WITHIN_S = 90.0
_STORM_ORDERS, _STORM_TIMES = 300, 5


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a fault strikes, and when to say that it does."""

    site: Site
    clients: Mapping[Pipeline, Client]
    """The load, by pipeline."""
    struck: Callable[[], None]
    """To be called at the moment of the fault."""
    pipelines: tuple[Pipeline, ...]
    """Pipelines that are watched."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was done."""

    what: str
    """In words, for the progress and the notes."""
    poison: int = 0
    """Messages that must now become dead letters."""
    problem: str = ""
    """What did not come back; empty where everything did."""


async def inflict(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Inflict a fault; return once it is over and what was broken is up again.

    It waits up to 90 s for it. Raises NotReadyError where what is to be broken is not there, and UnreachableError
    where a server is away that must be asked to break something. Cancelled, it leaves nothing frozen or locked.
    """
    if fault.deed is Deed.KILL:
        return await _kill(fault, scene)
    if fault.deed is Deed.FREEZE:
        return await _freeze(fault, scene, lasts_s)
    with naming_servers(scene.site.settings):
        return await _upset(fault, scene, lasts_s)


async def _upset(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Do what needs no signal but a connection. Raises UnreachableError and CoffeeError of ``naming_servers``."""
    match fault.deed:
        case Deed.LOCK:
            return await _lock(scene, lasts_s)
        case Deed.POISON:
            return await _poison(fault, scene)
        case Deed.STORM:
            scene.struck()
            storms = (client.storm(_STORM_ORDERS, _STORM_TIMES) for client in scene.clients.values())
            await asyncio.gather(*storms)
            return Done(
                f"sent the last {_STORM_ORDERS} orders of each pipeline {_STORM_TIMES} times more, at once"
            )
        case _:
            return await _flush(scene)


async def _kill(fault: Fault, scene: Scene) -> Done:
    before = await scene.site.find(fault.part)
    assert before.pid is not None
    scene.struck()
    os.kill(before.pid, signal.SIGKILL)
    what = f"killed {before.name} (pid {before.pid})"
    if not await scene.site.restarted(before, _BACK_WITHIN_S):
        return Done(what, problem=f"{before.name} did not come back within {_BACK_WITHIN_S:g} s: see its log")
    return Done(what, problem=await _still_down(scene.site))


async def _freeze(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    part = await scene.site.find(fault.part)
    assert part.pid is not None
    scene.struck()
    with frozen(part.pid):
        await asyncio.sleep(lasts_s)
    return Done(f"froze {part.name} (pid {part.pid}) for {lasts_s:g} s", problem=await _still_down(scene.site))


async def _lock(scene: Scene, lasts_s: float) -> Done:
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
    return Done(f"locked the orders for {lasts_s:g} s", problem=await _still_down(scene.site))


async def _poison(fault: Fault, scene: Scene) -> Done:
    pipeline = fault.log
    assert pipeline is not None
    put = poison_stream if pipeline is Pipeline.V2 else poison_topic
    client = scene.clients.get(pipeline)
    scene.struck()
    count = await put(scene.site.settings, client.first_accepted() if client else None)
    return Done(f"put {count} poison messages into the log of {pipeline}", count)


async def _flush(scene: Scene) -> Done:
    keys = [key for pipeline in scene.pipelines for key in MetricKeys(pipeline).metrics]
    async with Redis.from_url(scene.site.settings.redis_url, socket_timeout=5) as client:
        scene.struck()
        await client.delete(*keys)
    return Done(f"deleted the metric keys of {', '.join(scene.pipelines)}")


async def _still_down(site: Site) -> str:
    if await site.all_up(_BACK_WITHIN_S):
        return ""
    return f"not up again within {_BACK_WITHIN_S:g} s: {', '.join(site.down())}: see the logs"
