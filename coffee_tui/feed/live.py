"""The live feed: keeps both links open, reads when told to, publishes what is to be shown."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from coffee_core.runstate import PartState, read_env, read_states
from coffee_core.settings import Settings
from coffee_tui.feed.attachment import Attachment
from coffee_tui.feed.board import Board
from coffee_tui.feed.clock import Moment
from coffee_tui.feed.pulse import Pulse
from coffee_tui.feed.readings import ReadingError, RedisReading
from coffee_tui.feed.reasons import one_line
from coffee_tui.feed.snapshot import Snapshot

FRAME_S = 0.1
"""Shortest time between two reads of Redis, and between two snapshots."""
TICK_S = 1.0
"""Longest time between two reads, so that rates fall to 0 and a missed notification heals."""
LIVE = "live"
POLLING = f"polling every {TICK_S:.0f} s"
_RECONNECT_S = 0.5
_ASK_AGAIN_S = 10.0

Publish = Callable[[Snapshot], None]
"""Takes a snapshot; never blocks."""


class Feed(Protocol):
    """Anything that can fill the dashboard: the live feed, a recording, a test's script."""

    async def run(self, publish: Publish) -> None:
        """Publish snapshots until cancelled. An error that ends it is raised."""
        ...


class LiveFeed:
    """Reads a running stack; every lost link is said in the snapshot, and mended."""

    def __init__(self, attachment: Attachment, fault: Callable[[], str] = str) -> None:
        """``fault`` names the fault on purpose that is felt now, an empty text where there is none."""
        self._attachment = attachment
        self._fault = fault
        self._board = Board(attachment.settings.pipelines)
        self._reads = Pulse(FRAME_S)
        self._frames = Pulse(FRAME_S)

    async def run(self, publish: Publish) -> None:
        """Publish a snapshot whenever it differs from the one before, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_redis(), name="feed: redis")
            tasks.create_task(self._keep_api(), name="feed: api")
            tasks.create_task(self._tick(), name="feed: tick")
            tasks.create_task(self._publish(publish), name="feed: publish")

    async def _publish(self, publish: Publish) -> None:
        last: Snapshot | None = None
        self._frames.notify()
        while True:
            await self._frames.wait(TICK_S)
            snapshot = self._board.snapshot(Moment())
            if snapshot != last:
                publish(snapshot)
                last = snapshot

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._board.fault = self._fault()
            self._board.slot(Moment())
            self._frames.notify()

    async def _keep_redis(self) -> None:
        # Not at the top: the first frame of the screen need not wait for these libraries.
        from redis.exceptions import RedisError

        while True:
            try:
                await self._use_redis()
            except* (RedisError, OSError, TimeoutError, ReadingError) as group:
                self._board.lost_redis(Moment(), one_line(group))
                self._frames.notify()
                self._attachment.look_again()
            await asyncio.sleep(_RECONNECT_S)

    async def _use_redis(self) -> None:
        from coffee_tui.feed import redis_reader
        from coffee_tui.feed.ear import Ear

        heard = asyncio.Event()

        def hear() -> None:
            # It came: so the server sends them, even one that would not say so.
            heard.set()
            self._board.mode = LIVE

        settings = self._attachment.settings
        pipelines = settings.pipelines
        async with (
            redis_reader.connect(settings.redis_url) as client,
            redis_reader.pubsub(client) as pubsub,
            asyncio.TaskGroup() as tasks,
        ):
            ear = Ear(pubsub, redis_reader.channels(client, pipelines), hear, self._reads.notify)
            tasks.create_task(ear.listen(FRAME_S), name="feed: notifications")
            ask_at_s = 0.0
            last: RedisReading | None = None
            while True:
                if time.monotonic() >= ask_at_s:
                    ask_at_s = time.monotonic() + _ASK_AGAIN_S
                    said = await redis_reader.notifies(client)
                    self._board.mode = LIVE if said or (said is None and heard.is_set()) else POLLING
                reading = await redis_reader.read(client, pipelines)
                self._board.read_metrics(Moment(), reading)
                if reading != last:
                    ear.changed()
                    self._frames.notify()
                    last = reading
                await self._reads.wait(TICK_S)

    async def _keep_api(self) -> None:
        await self._read_parts()
        from aiohttp import ClientError, ClientSession

        from coffee_tui.feed.lab_reader import read_lab

        standing: object = None
        async with ClientSession(headers=self._attachment.settings.authorization) as session:
            while True:
                try:
                    reading = await read_lab(session, self._attachment.settings.api_url)
                except (ClientError, OSError, TimeoutError, ReadingError) as error:
                    self._board.lost_api(Moment(), one_line(error))
                    self._attachment.look_again()
                    await self._read_parts()
                    standing = None
                    self._frames.notify()
                else:
                    # Figures of the API are shown with the next second; how the parts stand is news.
                    if reading.standing != standing:
                        self._frames.notify()
                    standing = reading.standing
                    self._board.read_lab(Moment(), reading)
                await asyncio.sleep(TICK_S)

    async def _read_parts(self) -> None:
        self._board.read_parts(await asyncio.to_thread(_local_parts, self._attachment.settings))


def _local_parts(settings: Settings) -> list[PartState]:
    try:
        if read_env(settings.home).get("API_URL", settings.api_url) != settings.api_url:
            return []  # the stack that runs here is not the one that is shown
        return read_states(settings.home)
    except PermissionError:
        return []  # somebody else's stack: its addresses were given, its run files are not ours to read
