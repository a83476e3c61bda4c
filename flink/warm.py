"""Submits the job once more, without orders: it opens every connector and Python in free slots, and ends.

``python -m flink.warm --slots N`` prints the job's id. What it leaves behind is a TaskManager that has loaded all.
"""

import argparse
import sys

from coffee_core.settings import Settings
from flink.functions import WarmUp
from flink.job import submit_graph
from flink.options import WARM_UP_NAME, options
from flink.statements import TALLY_FUNCTION, WINDOW_FUNCTION, values_without_orders


def main() -> None:
    """Submit by the settings of the environment."""
    parser = argparse.ArgumentParser(prog="python -m flink.warm", description=__doc__)
    parser.add_argument("--slots", type=int, required=True, help="number of slots to warm")
    slots = parser.parse_args().slots
    settings = Settings.from_env()
    chosen = {
        **options(settings, WARM_UP_NAME, None),
        "pipeline.name": WARM_UP_NAME,
        "parallelism.default": str(slots),
        "restart-strategy.type": "none",
    }
    # Without checkpoints it leaves nothing from which the job of the orders could be continued by mistake.
    del chosen["execution.checkpointing.interval"]
    functions = dict.fromkeys((TALLY_FUNCTION, WINDOW_FUNCTION), WarmUp())
    sys.stdout.write(submit_graph(chosen, values_without_orders(settings), functions) + "\n")


if __name__ == "__main__":
    main()
