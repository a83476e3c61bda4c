"""Does what a fault says, and undoes it where it is of a kind that lasts."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from redis.asyncio import Redis

from backend.clients.daemon import open_postgres, open_redis
from backend.clients.kafka import kafka_options, naming_kafka
from backend.clients.servers import naming_servers
from backend.lab.chaos.faults import Deed, Fault
from backend.lab.chaos.restorer import Guard, frozen
from backend.lab.chaos.site import BACK_WITHIN_S, Done, NotReadyError, Scene
from backend.pipelines.v2_streams.batch import ConsumerGroup
from backend.pipelines.v2_streams.repair import replay_v2
from coffee_core.clock import now_us
from coffee_core.ids import new_message_id
from coffee_core.keys import STREAM, TOPIC, MetricKeys
from coffee_core.load.orders import Attempt
from coffee_core.pipelines.constants import V2
from coffee_core.resources import sql
from coffee_core.runstate import PartState, read_state
from coffee_core.settings import Settings

# Faults that are done to processes: by signals, and by limits.


_STOPPED_S, _RUNNING_S = 0.2, 0.05
_LIMIT_EVERY_S = 0.05


async def kill(fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Kill a part. Raises NotReadyError where it has no process."""
    before = await scene.site.find(fault.part)
    assert before.pid is not None
    scene.struck()
    os.kill(before.pid, signal.SIGKILL)
    what = f"killed {before.name} (pid {before.pid})"
    if not await scene.site.restarted(before, BACK_WITHIN_S):
        return Done(what, problem=f"{before.name} did not come back within {BACK_WITHIN_S:g} s: see its log")
    return Done(what, problem=await scene.still_down())


async def freeze(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Stop a part for a time. Raises NotReadyError where it has no process."""
    part = await scene.site.find(fault.part)
    assert part.pid is not None
    scene.struck()
    with frozen(part.pid):
        await asyncio.sleep(lasts_s)
    return Done(f"froze {part.name} (pid {part.pid}) for {lasts_s:g} s", problem=await scene.still_down())


async def slow(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Let a part run for a fifth of the time. Raises NotReadyError where it has no process."""
    part = await scene.site.find(fault.part)
    assert part.pid is not None
    scene.struck()
    until_s = time.monotonic() + lasts_s
    with Guard() as guard:
        while time.monotonic() < until_s:
            guard.stop(part.pid)
            await asyncio.sleep(_STOPPED_S)
            guard.mend()
            await asyncio.sleep(_RUNNING_S)
    share = f"{_RUNNING_S / (_STOPPED_S + _RUNNING_S):.0%}"
    what = f"let {part.name} (pid {part.pid}) run for {share} of the time, for {lasts_s:g} s"
    return Done(what, problem=await scene.still_down())


async def fill_disk(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Let every write to a file fail, of a part and of each process that takes its place meanwhile.

    Raises NotReadyError where the part has no process, or this machine does not allow it.
    """
    part = await scene.site.find(fault.part)
    assert part.pid is not None
    now: PartState | None = part
    scene.struck()
    until_s = time.monotonic() + lasts_s
    with Guard(account_of=part.pid) as guard:
        while time.monotonic() < until_s:
            if now is not None and now.pid is not None:
                guard.keep_from_writing(now.pid)
            await asyncio.sleep(_LIMIT_EVERY_S)
            now = read_state(scene.site.settings.home, part.name)
    what = f"no file of {part.name} could be written for {lasts_s:g} s"
    return Done(what, problem=await scene.still_down())


# Messages that can never become a row, put straight into the logs behind the API's back.


_SEND_WITHIN_MS = 20_000


def _well() -> dict[str, Any]:
    return {
        "message_id": str(new_message_id()),
        "drink": "latte",
        "store": "uptown",
        "price_cents": 500,
        "ordered_at_us": now_us(),
        "accepted_at_us": now_us(),
    }


def _spoilt() -> list[dict[str, Any]]:
    well = _well()
    return [
        {"garbage": "\x00\x01\x02"},
        {**_well(), "drink": "mocha"},
        {**_well(), "store": ""},
        {**_well(), "price_cents": -1},
        {**_well(), "price_cents": 10**30},
        {**_well(), "ordered_at_us": "yesterday"},
        {**_well(), "message_id": "not-a-uuid"},
        {name: value for name, value in well.items() if name != "store"},
    ]


def _conflict(known: Attempt) -> dict[str, Any]:
    """Return another order under the id of one that is stored already."""
    return {**_well(), "message_id": str(known.key), "ordered_at_us": known.ordered_at_us, "price_cents": 999_999}


async def poison_stream(settings: Settings, known: Attempt | None) -> int:
    """Add entries that can never be stored to v2's stream; return how many. Raises an error of Redis."""
    entries: list[Mapping[Any, Any]] = _spoilt() + ([_conflict(known)] if known else [])
    entries.append({b"message_id": b"\xff\xfe", b"drink": b"\xc3\x28"})
    async with Redis.from_url(settings.redis_url, socket_timeout=5) as client:
        for entry in entries:
            await client.xadd(STREAM, dict(entry))
    return len(entries)


async def poison_topic(settings: Settings, known: Attempt | None) -> int:
    """Send records that can never be stored to v3's topic; return how many. Raises UnreachableError.

    Among them what no JSON parser takes, a record without a value, one without a key, and a large one.
    """
    spoilt = _spoilt() + ([_conflict(known)] if known else [])
    records: list[tuple[bytes | None, bytes | None]] = [
        (str(each.get("message_id", "")).encode(), json.dumps(each).encode()) for each in spoilt
    ]
    records += [
        (b"poison", b"not json"),
        (b"poison", b""),
        (b"poison", b"[]"),
        (b"poison", b"\xff\xfe\x00"),
        (b"poison", json.dumps({**_well(), "drink": "x" * 100_000}).encode()),
        (None, b"{}"),
        (b"poison", None),
    ]
    producer = AIOKafkaProducer(**kafka_options(settings), acks="all", request_timeout_ms=_SEND_WITHIN_MS)
    with naming_kafka(settings.kafka_servers):
        await producer.start()
        try:
            for key, value in records:
                await producer.send_and_wait(TOPIC, value, key=key)
        finally:
            await producer.stop()
    return len(records)


# Faults that are done through a connection: to rows, to logs, to keys, to memory.


_STORM_ORDERS, _STORM_TIMES = 300, 5


async def lock(_fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Lock the orders for a time."""
    connection = await open_postgres(scene.site.settings.database_url)
    try:
        async with connection.transaction():
            # From the moment it is asked for: everyone who comes later waits behind it already.
            scene.struck()
            await connection.execute(sql("backend.lab.chaos", "lock"))
            await asyncio.sleep(lasts_s)
    finally:
        # The server lets go of the lock with the connection, also where we are killed.
        connection.terminate()
    return Done(f"locked the orders for {lasts_s:g} s", problem=await scene.still_down())


async def poison(fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Put messages that cannot be stored into a log."""
    pipeline = fault.log
    assert pipeline is not None
    put = poison_stream if pipeline == V2 else poison_topic
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


# Replays under load: they must end on the same numbers.


_CONSUMER = "chaos-dead-consumer"
_ENTRIES, _WITHIN_S = 20, 10.0


async def replay_pending(_fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Read entries as a consumer that then dies, and have them taken over at once.

    Raises NotReadyError where nobody sends an order, and CoffeeError where no worker takes them over.
    """
    settings = scene.site.settings
    async with open_redis(settings.redis_url) as client:
        consumer = ConsumerGroup(client, _CONSUMER, _ENTRIES)
        read, until_s = 0, time.monotonic() + _WITHIN_S
        while read < _ENTRIES and time.monotonic() < until_s:
            read += len(await consumer.read_blocking())
        if not read:
            raise NotReadyError("no entry came into the stream that a consumer could have died with")
        scene.struck()
        done = await replay_v2(settings, lambda _done, _total: None)
        await consumer.retire()
    return Done(
        f"a consumer died with {read} entries; {done.entries} were taken over at once, in {done.seconds:g} s",
        problem="" if done.entries >= read else f"{read - done.entries} of them were not",
    )


async def replay_topic(_fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Count the whole topic anew. Raises CoffeeError where the numbers do not meet."""
    from backend.pipelines.v3_kafka.repair import replay_v3  # not loaded where no Kafka runs

    struck = False

    def begun(_done: int, _total: int) -> None:
        # Only now nothing is shown any more: the job's orders so far would pass for those from after it.
        nonlocal struck
        if not struck:
            struck = True
            scene.struck()

    done = await replay_v3(scene.site.settings, begun)
    return Done(
        f"replayed {done.records:,} records into empty state in {done.seconds:g} s",
        problem=await scene.still_down(),
    )


Do = Callable[[Fault, Scene, float], Awaitable[Done]]
_BY_SIGNAL: dict[Deed, Do] = {
    Deed.KILL: kill,
    Deed.FREEZE: freeze,
    Deed.SLOW: slow,
    Deed.FILL_DISK: fill_disk,
}
_BY_CONNECTION: dict[Deed, Do] = {
    Deed.FILL_MEMORY: fill_memory,
    Deed.LOCK: lock,
    Deed.POISON: poison,
    Deed.STORM: storm,
    Deed.FLUSH: flush,
    Deed.REPLAY_PENDING: replay_pending,
    Deed.REPLAY_TOPIC: replay_topic,
}


async def inflict(fault: Fault, scene: Scene, lasts_s: float) -> Done:
    """Inflict a fault; return once it is over and what was broken is up again.

    It waits up to 90 s for it. Raises NotReadyError where what is to be broken is not there, and UnreachableError
    or another CoffeeError where a server is away, or refuses, that must be asked to break something. Cancelled, it
    leaves nothing frozen, limited or locked.
    """
    if fault.deed in _BY_SIGNAL:
        return await _BY_SIGNAL[fault.deed](fault, scene, lasts_s)
    with naming_servers(scene.site.settings):
        return await _BY_CONNECTION[fault.deed](fault, scene, lasts_s)
