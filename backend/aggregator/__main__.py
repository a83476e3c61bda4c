"""``python -m backend.aggregator``: recompute v1's metrics every ``COFFEE_AGGREGATOR_INTERVAL_S`` seconds."""

import asyncio
import sys

from backend.aggregator.daemon import run_aggregator
from backend.daemon import run_daemon
from coffee_core.settings import Settings


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    await run_aggregator(stop, settings.database_url, settings.redis_url, settings.aggregator_interval_s)


if __name__ == "__main__":
    sys.exit(run_daemon("aggregator", _run))
