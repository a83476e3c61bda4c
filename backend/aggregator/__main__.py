"""``python -m backend.aggregator``: recompute v1's metrics every ``COFFEE_AGGREGATOR_INTERVAL_S`` seconds.

Where ``COFFEE_RECONCILE_INTERVAL_S`` is set, it also reconciles v2 and v3 that often.
"""

import asyncio
import sys

from backend.aggregator.daemon import run_aggregator
from backend.aggregator.reconciling import run_reconciliations
from backend.daemon import run_daemon
from coffee_core.pipelines import Pipeline
from coffee_core.settings import Settings


async def _run(stop: asyncio.Event) -> None:
    settings = Settings.attach()
    others = [each for each in settings.pipelines if each is not Pipeline.V1]
    async with asyncio.TaskGroup() as both:
        both.create_task(
            run_aggregator(stop, settings.database_url, settings.redis_url, settings.aggregator_interval_s)
        )
        both.create_task(run_reconciliations(stop, others, settings.reconcile_interval_s))


if __name__ == "__main__":
    sys.exit(run_daemon("aggregator", _run))
