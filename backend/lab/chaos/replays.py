"""Replays under load: they must end on the same numbers."""

import time

from backend.daemon import open_redis
from backend.lab.chaos.faults import Fault
from backend.lab.chaos.scene import Done, Scene
from backend.lab.chaos.site import NotReadyError
from backend.lab.replay_v2 import replay_v2
from backend.stream_worker.group import Group

_CONSUMER = "chaos-dead-consumer"
_ENTRIES, _WITHIN_S = 20, 10.0


async def replay_pending(_fault: Fault, scene: Scene, _lasts_s: float) -> Done:
    """Read entries as a consumer that then dies, and have them taken over at once.

    Raises NotReadyError where nobody sends an order, and CoffeeError where no worker takes them over.
    """
    settings = scene.site.settings
    async with open_redis(settings.redis_url) as client:
        consumer = Group(client, _CONSUMER, _ENTRIES)
        read, until_s = 0, time.monotonic() + _WITHIN_S
        while read < _ENTRIES and time.monotonic() < until_s:
            read += len(await consumer.new())
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
    from backend.lab.replay_v3 import replay_v3  # not loaded where no Kafka runs

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
