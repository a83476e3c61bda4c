"""``python -m backend.stream_worker``: any number of them at once."""

import asyncio
import sys

from backend.daemon import run_daemon
from backend.stream_worker.names import consumer_name
from backend.stream_worker.worker import run_worker
from coffee_core.settings import Settings


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    with consumer_name(settings.home, settings.worker_name) as name:
        await run_worker(stop, settings.database_url, settings.redis_url, name, settings.worker_batch_orders)


if __name__ == "__main__":
    sys.exit(run_daemon("stream-worker", _run))
