"""``python -m flink.submit``: keeps exactly one job of ours on the cluster, from the newest checkpoint on.

A job that already runs is adopted. Where the JobManager has lost it, it is submitted again; where the epoch has
changed, it is cancelled and another begins with empty state. SIGTERM ends the watch and leaves the job as it is.
"""

import asyncio
import contextlib
import logging
import signal
import sys

import aiohttp
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from coffee_core.keys import MetricKeys
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings
from flink.client import SubmitError
from flink.reachable import wait_for_servers
from flink.rest import FlinkRest, RefusedError
from flink.watch import Watch

_LOOK_EVERY_S = 0.5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 15.0
_UNANSWERED = (aiohttp.ClientError, OSError, TimeoutError, RedisError)
"""A server is away: to ask it again costs nothing, and it may be back at any moment."""
_PASSING = (*_UNANSWERED, SubmitError, RefusedError)
WATCHED = MetricKeys(Pipeline.V3).watched
log = logging.getLogger("flink.submit")


class Trouble:
    """Failures in a row: each reason is told once; the pause grows where the job itself could not be submitted."""

    def __init__(self) -> None:
        self.pause_s = _LOOK_EVERY_S
        """Seconds until the next try."""
        self._reason: str | None = None

    def note(self, error: BaseException) -> None:
        """Note a failure, and tell of it unless it is the last one once more."""
        reason = str(error) or type(error).__name__
        if reason != self._reason:
            log.warning("cannot watch the job, trying again: %s", reason)
        self._reason = reason
        if isinstance(error, _UNANSWERED):
            self.pause_s = _FIRST_PAUSE_S
        else:
            self.pause_s = min(2 * self.pause_s, _LONGEST_PAUSE_S)

    def over(self) -> None:
        """Note a success."""
        self.pause_s = _LOOK_EVERY_S
        self._reason = None


async def _be_seen(presence: PubSub) -> None:
    """Listen where a replay looks for us, also after Redis was away. Raises RedisError."""
    if not presence.subscribed:
        await presence.subscribe(WATCHED)
    # To read is to notice that the connection is lost; the next reading makes another.
    await presence.get_message(ignore_subscribe_messages=True, timeout=0.01)


async def _watch(settings: Settings, stop: asyncio.Event) -> None:
    await wait_for_servers(settings, log)
    rest = FlinkRest(settings.flink_rest_url)
    redis: Redis = Redis.from_url(settings.redis_url, decode_responses=True, socket_timeout=5)
    watch = Watch(settings, rest, redis)
    presence = redis.pubsub()
    trouble = Trouble()
    try:
        while not stop.is_set():
            try:
                await _be_seen(presence)
                await watch.look()
                trouble.over()
            except _PASSING as error:
                trouble.note(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), trouble.pause_s)
    finally:
        await watch.close()
        await rest.close()
        await presence.aclose()  # type: ignore[no-untyped-call]
        await redis.aclose()


async def _main() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    watch = loop.create_task(_watch(Settings.from_env(), stop))

    def end() -> None:
        stop.set()
        # Not in the middle of a submission only: a client that was let go might submit after we are gone.
        watch.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    with contextlib.suppress(asyncio.CancelledError):
        await watch


def main() -> int:
    """Watch until told to end; return the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    asyncio.run(_main())
    return 0


if __name__ == "__main__":
    sys.exit(main())
