"""``python -m backend.stream_worker``: any number of them at once."""

import asyncio
import gc
import sys

from backend.daemon import run_daemon
from backend.spans import asked_for
from backend.stream_worker.names import consumer_name
from backend.stream_worker.worker import run_worker
from coffee_core.settings import Settings


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    spans = asked_for("stream-worker")
    urls = (settings.database_url, settings.redis_url)
    with consumer_name(settings.home, settings.worker_name) as name:
        await run_worker(stop, *urls, name, settings.worker_batch_orders, spans)
    if spans is not None:
        spans.close()


if __name__ == "__main__":
    # What the modules have made stays: in a backlog the collector would look through it many times a second.
    gc.freeze()
    sys.exit(run_daemon("stream-worker", _run))
