"""What can be broken of v2 alone: its worker, its stream, and its replay of what dead workers have left."""

import time
from collections.abc import Mapping
from typing import Any

from backend.pipelines.faults import (
    Action,
    Effect,
    Fault,
    NotReadyError,
    StrikeContext,
    part_faults,
    unstorable_orders,
)
from coffee_core.keys import STREAM
from coffee_core.pipelines.constants import V2

_DEAD_CONSUMER = "chaos-dead-consumer"
_LEFT_ENTRIES, _READ_WITHIN_S = 20, 10.0
_TIMEOUT_S = 5


async def poison_stream(context: StrikeContext) -> Effect:
    """Add entries that can never be stored to the stream. Raises an error of Redis."""
    from redis.asyncio import Redis  # the menu is listed without any driver

    entries: list[Mapping[Any, Any]] = [*unstorable_orders(context.first_accepted(V2))]
    entries.append({b"message_id": b"\xff\xfe", b"drink": b"\xc3\x28"})
    context.struck()
    async with Redis.from_url(context.settings.redis_url, socket_timeout=_TIMEOUT_S) as client:
        for entry in entries:
            await client.xadd(STREAM, dict(entry))
    return Effect(f"put {len(entries)} poison messages into the log of {V2}", len(entries))


async def replay_pending(context: StrikeContext) -> Effect:
    """Read entries as a consumer that then dies, and have them taken over at once.

    Raises NotReadyError where nobody sends an order, and CoffeeError where no worker takes them over.
    """
    from backend.clients.daemon import open_redis
    from backend.pipelines.v2_streams.batch import ConsumerGroup
    from backend.pipelines.v2_streams.repair import replay_v2

    async with open_redis(context.settings.redis_url) as client:
        consumer = ConsumerGroup(client, _DEAD_CONSUMER, _LEFT_ENTRIES)
        read, give_up_at_s = 0, time.monotonic() + _READ_WITHIN_S
        while read < _LEFT_ENTRIES and time.monotonic() < give_up_at_s:
            read += len(await consumer.read_blocking())
        if not read:
            raise NotReadyError("no entry came into the stream that a consumer could have died with")
        context.struck()
        replayed = await replay_v2(context.settings, lambda _done, _total: None)
        await consumer.retire()
    return Effect(
        f"a consumer died with {read} entries; {replayed.entries} were taken over at once,"
        f" in {replayed.seconds:g} s",
        problem="" if replayed.entries >= read else f"{read - replayed.entries} of them were not",
    )


FAULTS = (
    *part_faults(
        "stream-worker",
        "killed between commit and acknowledgement, its batch is delivered again and counted once",
        "its entries stay pending under its name; nobody counts them twice when it wakes",
    ),
    Fault(
        "poison-stream",
        "entries straight into the stream that can never be stored: dead letters, and nothing behind them waits",
        Action.POISON,
        log=V2,
        strike=poison_stream,
    ),
    Fault(
        "replay-v2",
        "a consumer dies with entries it has read; `coffee replay v2` hands them on at once, each counted once",
        Action.REPLAY,
        log=V2,
        strike=replay_pending,
    ),
)
