"""``python -m backend.aggregator.once``: one run of v1's aggregator, for a cron of somebody else's.

The dashboard is told to expect the next one after ``COFFEE_AGGREGATOR_INTERVAL_S`` seconds.
"""

import asyncio
import sys
import time

from backend.aggregator.daemon import STATEMENT_TIMEOUT_S
from backend.aggregator.run import Aggregator
from backend.aggregator.stand_back import open_scanner
from backend.daemon import OUTAGES, open_redis
from coffee_core.clock import now_us
from coffee_core.errors import CoffeeError
from coffee_core.settings import Settings

_US_PER_S = 1_000_000


async def _run(settings: Settings) -> bool:
    async with open_redis(settings.redis_url) as client:
        connection = await open_scanner(settings.database_url, STATEMENT_TIMEOUT_S)
        try:
            return await Aggregator(connection, client).run(now_us() + settings.aggregator_interval_s * _US_PER_S)
        finally:
            # Not close(), which would wait for a server that hangs.
            connection.terminate()


def main() -> int:
    """Return the exit code: 0, or 1 with one line on stderr where a server could not do its part."""
    began = time.monotonic()
    try:
        written = asyncio.run(_run(Settings.attach()))
    except (CoffeeError, *OUTAGES) as error:
        sys.stderr.write(f"cannot aggregate: {type(error).__name__}: {error}\n")
        return 1
    what = "v1's metrics are written" if written else "a newer run was first"
    sys.stdout.write(f"{what}, after {time.monotonic() - began:.2f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
