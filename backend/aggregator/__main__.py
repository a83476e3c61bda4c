"""``python -m backend.aggregator``: recompute v1's metrics every ``COFFEE_AGGREGATOR_INTERVAL_S`` seconds.

Where ``COFFEE_RECONCILE_INTERVAL_S`` is set, it also reconciles v2 and v3 that often.
"""

import asyncio
import sys

from backend.aggregator.daemon import run_aggregator
from backend.aggregator.reconciling import run_reconciliations
from backend.daemon import run_daemon
from coffee_core.pipelines import Pipeline
from coffee_core.runstate import tell_ready
from coffee_core.settings import Settings


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    others = [each for each in settings.pipelines if each is not Pipeline.V1]
    async with asyncio.TaskGroup() as both:
        if Pipeline.V1 in settings.pipelines:
            urls = (settings.database_url, settings.redis_url)
            both.create_task(run_aggregator(stop, *urls, settings.aggregator_interval_s))
        else:
            tell_ready(ready=True)
        both.create_task(run_reconciliations(stop, others, settings.reconcile_interval_s))


if __name__ == "__main__":
    sys.exit(run_daemon("aggregator", _run))
