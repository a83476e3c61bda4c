"""Submits the job to Flink, and the job that warms TaskManagers up.

``python -m flink.job --epoch E [--restore URI]`` submits the job of the orders; ``--warm-up SLOTS`` submits the
same without orders: it opens every connector and Python in free slots, and ends. What it leaves behind is a
TaskManager that has loaded all. Both print the job's id. Run by ``flink.plans`` as a process of its own, so that
the client's JVM is gone when the job runs.
"""

import argparse
import sys
from collections.abc import Mapping

from pyflink.common import Configuration
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.udf import ScalarFunction, udf

from coffee_core.settings import Settings
from flink.functions import ShowInRedis, ShowWindowInRedis, WarmUp
from flink.options import options, warm_up_options
from flink.statements import (
    DEFINITIONS,
    INSERTS,
    TALLY_FUNCTION,
    WINDOW_FUNCTION,
    statement,
    values,
    values_without_orders,
)


def main() -> None:
    """Submit by the settings of the environment."""
    parser = argparse.ArgumentParser(
        prog="python -m flink.job", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    job = parser.add_mutually_exclusive_group(required=True)
    job.add_argument("--epoch", help="epoch in which the job may write to Redis")
    job.add_argument("--warm-up", type=int, metavar="SLOTS", help="number of slots to warm, without any orders")
    parser.add_argument("--restore", help="URI of the checkpoint to continue from")
    arguments = parser.parse_args()
    if arguments.warm_up is not None and arguments.restore:
        parser.error("--restore is for the job of an epoch")
    settings = Settings.from_env()
    if arguments.warm_up is not None:
        job_id = submit_warm_up(settings, arguments.warm_up)
    else:
        job_id = submit_orders(settings, arguments.epoch, arguments.restore)
    sys.stdout.write(f"{job_id}\n")


def submit_orders(settings: Settings, epoch: str, restore: str | None) -> str:
    """Submit the job of an epoch, which continues from the checkpoint at ``restore`` (a URI); return its id."""
    functions = {
        TALLY_FUNCTION: ShowInRedis(settings.redis_url, epoch),
        WINDOW_FUNCTION: ShowWindowInRedis(settings.redis_url, epoch),
    }
    return _submit(options(settings, epoch, restore), values(settings), functions)


def submit_warm_up(settings: Settings, slots: int) -> str:
    """Submit the job that warms this many slots; return its id."""
    functions = dict.fromkeys((TALLY_FUNCTION, WINDOW_FUNCTION), WarmUp())
    return _submit(warm_up_options(settings, slots), values_without_orders(settings), functions)


def _submit(options: Mapping[str, str], values: Mapping[str, str], functions: Mapping[str, ScalarFunction]) -> str:
    """Submit the statements with these options, placeholders and Redis functions; return the job's id.

    Starts the client's JVM, which ends with this process.
    """
    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    mode = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration)
    environment = TableEnvironment.create(mode.build())
    for name in DEFINITIONS:
        environment.execute_sql(statement(name, values))
    for name, function in functions.items():
        environment.create_temporary_function(name, udf(function, result_type=DataTypes.BIGINT()))
    inserts = environment.create_statement_set()
    for name in INSERTS:
        inserts.add_insert_sql(statement(name, values))
    return str(inserts.execute().get_job_client().get_job_id())


if __name__ == "__main__":
    main()
