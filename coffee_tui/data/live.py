"""The live feed: keeps both links open, reads when Redis notifies, publishes what is to be shown."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from coffee_core.runstate import PartState, read_env, read_states
from coffee_core.settings import Settings
from coffee_core.tasks import run_together
from coffee_tui.data.connection import Attachment, one_line
from coffee_tui.data.history import Moment
from coffee_tui.data.readings import ReadingError, RedisReading
from coffee_tui.data.snapshot import Snapshot
from coffee_tui.data.state import DashboardState

if TYPE_CHECKING:
    from redis.asyncio.client import PubSub

FRAME_S = 0.1
"""Shortest time between two reads of Redis, and between two snapshots."""
TICK_S = 1.0
"""Longest time between two reads, so that rates fall to 0 and a missed notification heals."""
LIVE = "live"
POLLING = f"polling every {TICK_S:.0f} s"
_RECONNECT_S = 0.5
_ASK_AGAIN_S = 10.0
_FLOOD = 30
"""Notifications within ``_SPAN_S`` from which on it is one."""
_SPAN_S = 1.0
_WAIT_S = 1.0
"""Longest wait for a notification, so that a lost connection is noticed."""
Publish = Callable[[Snapshot], None]
"""Takes a snapshot; never blocks."""


class Feed(Protocol):
    """Anything that can fill the dashboard: the live feed, a recording, a test's script."""

    async def run(self, publish: Publish) -> None:
        """Publish snapshots until cancelled. An error that ends it is raised."""
        ...


class LiveFeed:
    """Reads a running stack; a lost link is in the snapshot, with its reason, and is tried again."""

    def __init__(self, attachment: Attachment, fault: Callable[[], str] = str) -> None:
        """``fault`` names the fault on purpose that is felt now, an empty text where there is none."""
        self._attachment = attachment
        self._fault = fault
        # Those that there are columns for: another stack may be started later, with others.
        self._pipelines = attachment.settings.pipelines
        self._state = DashboardState(self._pipelines)
        self._reads = Throttle(FRAME_S)
        self._frames = Throttle(FRAME_S)

    async def run(self, publish: Publish) -> None:
        """Publish a snapshot whenever it differs from the one before, until cancelled."""
        await run_together(self._keep_redis(), self._keep_api(), self._tick(), self._publish(publish))

    async def _publish(self, publish: Publish) -> None:
        last: Snapshot | None = None
        self._frames.notify()
        while True:
            await self._frames.wait(TICK_S)
            # A fault that is felt for less than a tick is seen, too.
            self._state.fault = self._fault()
            snapshot = self._state.snapshot(Moment())
            if snapshot != last:
                publish(snapshot)
                last = snapshot

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self._state.fault = self._fault()
            self._state.slot(Moment())
            self._frames.notify()

    async def _keep_redis(self) -> None:
        # Not at the top: the first frame of the screen need not wait for these libraries.
        from redis.exceptions import RedisError

        while True:
            try:
                await self._use_redis()
            except (RedisError, OSError, TimeoutError, ReadingError) as error:
                self._state.lost_redis(Moment(), one_line(error))
                self._frames.notify()
                self._attachment.reload()
            await asyncio.sleep(_RECONNECT_S)

    async def _use_redis(self) -> None:
        from coffee_tui.data import redis_reader

        heard = asyncio.Event()

        def on_message() -> None:
            # One came, so the server sends notifications, even one whose configuration cannot be read.
            heard.set()
            self._state.mode = LIVE

        settings = self._attachment.settings
        pipelines = self._pipelines
        async with (
            redis_reader.connect(settings.redis_url) as client,
            redis_reader.pubsub(client) as pubsub,
        ):
            channels = redis_reader.channels(client, pipelines)
            notifications = Notifications(pubsub, channels, on_message, self._reads.notify)

            async def keep_reading() -> None:
                ask_at_s = 0.0
                last: RedisReading | None = None
                while True:
                    if time.monotonic() >= ask_at_s:
                        ask_at_s = time.monotonic() + _ASK_AGAIN_S
                        notifies = await redis_reader.notifies(client)
                        self._state.mode = LIVE if notifies or (notifies is None and heard.is_set()) else POLLING
                    reading = await redis_reader.read(client, pipelines)
                    self._state.read_metrics(Moment(), reading)
                    if reading != last:
                        notifications.changed()
                        self._frames.notify()
                        last = reading
                    await self._reads.wait(TICK_S)

            await run_together(notifications.listen(FRAME_S), keep_reading())

    async def _keep_api(self) -> None:
        await self._read_parts()
        from aiohttp import ClientError, ClientSession

        from coffee_tui.data.api_reader import read_lab

        standing: object = None
        async with ClientSession(headers=self._attachment.settings.authorization) as session:
            while True:
                try:
                    reading = await read_lab(session, self._attachment.settings.api_url)
                except (ClientError, OSError, TimeoutError, ReadingError) as error:
                    self._state.lost_api(Moment(), one_line(error))
                    self._attachment.reload()
                    await self._read_parts()
                    standing = None
                    self._frames.notify()
                else:
                    # Figures of the API are shown with the next second; how the parts stand is news.
                    if reading.standing != standing:
                        self._frames.notify()
                    standing = reading.standing
                    self._state.read_lab(Moment(), reading)
                await asyncio.sleep(TICK_S)

    async def _read_parts(self) -> None:
        parts = await asyncio.to_thread(_local_parts, self._attachment.settings)
        self._state.read_parts(Moment(), parts)


def _local_parts(settings: Settings) -> list[PartState]:
    try:
        if read_env(settings.home).get("API_URL", settings.api_url_with_login) != settings.api_url_with_login:
            return []  # the stack that runs here is not the one that is shown
        return read_states(settings.home)
    except PermissionError:
        return []  # somebody else's stack: its addresses were given, its run files are not ours to read


class Notifications:
    """Decides when to read Redis: at once when it notifies; in a flood of notifications, by the clock.

    Every notification has to be parsed, and a pipeline under load sends hundreds a second of which ten are of use.
    So in a flood it unsubscribes, and subscribes again when the readings have been the same for a while.
    """

    def __init__(
        self, pubsub: "PubSub", channels: Sequence[str], on_message: Callable[[], None], read: Callable[[], None]
    ) -> None:
        """``on_message`` is called for every notification, ``read`` whenever to read; neither may block."""
        self._pubsub = pubsub
        self._channels = channels
        self._on_message = on_message
        self._read = read
        self._changed_s = 0.0

    def changed(self) -> None:
        """Note that a reading differed from the one before."""
        self._changed_s = time.monotonic()

    async def listen(self, frame_s: float) -> None:
        """Listen until cancelled; in a flood read every ``frame_s`` seconds. Raises redis-py's errors."""
        while True:
            await self._pubsub.subscribe(*self._channels)
            # What happened while nobody listened is seen now.
            self._read()
            await self._until_flood()
            await self._pubsub.unsubscribe(*self._channels)
            await self._poll_until_calm(frame_s)

    async def _until_flood(self) -> None:
        begun_s, count = time.monotonic(), 0
        while count < _FLOOD:
            message = await self._pubsub.get_message(timeout=_WAIT_S)
            if time.monotonic() - begun_s > _SPAN_S:
                begun_s, count = time.monotonic(), 0
            if message is not None:
                count += 1
                self._on_message()
                self._read()

    async def _poll_until_calm(self, frame_s: float) -> None:
        self.changed()
        while time.monotonic() - self._changed_s < _SPAN_S:
            await asyncio.sleep(frame_s)
            self._read()


class Throttle:
    """Coalesces notifications: lets a loop through at once, but never more often than every ``gap_s`` seconds.

    However many notifications arrive within the gap, one pass follows them, and none is lost: a notification
    during a pass leads to the next one.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._happened = asyncio.Event()
        self._last_s = float("-inf")

    def notify(self) -> None:
        """Note that something happened."""
        self._happened.set()

    async def wait(self, timeout_s: float) -> bool:
        """Wait until something happens, at most ``timeout_s`` seconds; return whether something did."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._happened.wait()
        except TimeoutError:
            happened = False
        else:
            happened = True
            await asyncio.sleep(max(0.0, self._last_s + self._gap_s - loop.time()))
            self._happened.clear()
        self._last_s = loop.time()
        return happened
