"""What the dashboard costs on a running stack, how fast it is.

Run by hand (``python -m tests.integration.coffee_tui.bench_stack``) where ``coffee up`` runs (REDIS_URL and
API_URL, or COFFEE_HOME), with ``--loaded`` beside a load. It writes a total of v2 again, the same, to see how long
a notification takes to the screen: a stack to play with.
"""

import argparse
import json
import random
import statistics
import sys
import time

from redis import Redis

from coffee_core.keys import MetricKeys
from coffee_core.pipelines.constants import V2
from coffee_core.settings import Settings
from tests.integration.coffee_tui.bench_terminal import BenchTerminal

_KEYS = MetricKeys(V2)
_TRIALS = 60


def _notifications(terminal: BenchTerminal, redis: "Redis[str]") -> list[float]:
    """Return the seconds from a write to Redis to the frame that shows it."""
    found = []
    for _ in range(_TRIALS):
        time.sleep(random.uniform(0.3, 0.5))
        redis.incrby(_KEYS.total_revenue, 1_000)
        redis.set(_KEYS.total_orders, redis.get(_KEYS.total_orders) or 0)
        found.append(terminal.until(b""))
    return found


def _keys(terminal: BenchTerminal) -> list[float]:
    """Return the seconds from a key to what it changes on the screen."""
    found = []
    for _ in range(_TRIALS // 2):
        time.sleep(random.uniform(0.1, 0.3))
        terminal.press(b"p")
        found.append(terminal.until(b"view held"))
        terminal.press(b"p")
        terminal.until(b"live")
    return found


def _milliseconds(found: list[float]) -> dict[str, float]:
    ordered = sorted(found)
    return {
        "p50_ms": round(1e3 * statistics.median(ordered), 1),
        "p90_ms": round(1e3 * ordered[int(len(ordered) * 0.9)], 1),
        "max_ms": round(1e3 * ordered[-1], 1),
    }


def main() -> None:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, nargs=2, default=[168, 44], metavar=("CELLS", "ROWS"))
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--loaded", action="store_true", help="keys under load instead of notifications at rest")
    given = parser.parse_args()
    terminal = BenchTerminal(["-m", "coffee_tui"], *given.size)
    time.sleep(6)
    found: dict[str, object] = {"loaded": given.loaded, "cost": terminal.cost(given.seconds)}
    if given.loaded:
        found["key_to_screen"] = _milliseconds(_keys(terminal))
    else:
        with Redis.from_url(Settings.attach().redis_url, decode_responses=True) as redis:
            found["notification_to_screen"] = _milliseconds(_notifications(terminal, redis))
    terminal.close()
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
