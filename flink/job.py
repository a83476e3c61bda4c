"""Submits the job: ``python -m flink.job --epoch E [--restore URI]`` prints the job's id.

Run by ``flink.submit`` as a process of its own, so that the client's JVM is gone when the job runs.
"""

import argparse
import sys

from coffee_core.settings import Settings
from flink.environment import submit_graph
from flink.options import options
from flink.redis_sink import ShowInRedis, ShowWindowInRedis
from flink.statements import TALLY_FUNCTION, WINDOW_FUNCTION, values


def main() -> None:
    """Submit by the settings of the environment."""
    parser = argparse.ArgumentParser(prog="python -m flink.job", description=__doc__)
    parser.add_argument("--epoch", required=True, help="epoch in which the job may write to Redis")
    parser.add_argument("--restore", help="URI of the checkpoint to continue from")
    given = parser.parse_args()
    settings = Settings.from_env()
    functions = {
        TALLY_FUNCTION: ShowInRedis(settings.redis_url, given.epoch),
        WINDOW_FUNCTION: ShowWindowInRedis(settings.redis_url, given.epoch),
    }
    sys.stdout.write(
        submit_graph(options(settings, given.epoch, given.restore), values(settings), functions) + "\n"
    )


if __name__ == "__main__":
    main()
