"""Builds the job and submits it: ``python -m flink.job [--restore PATH]`` prints the job's id.

Run by ``flink.submit`` as a process of its own, so that the client's JVM is gone when the job runs.
"""

import argparse
import sys
from pathlib import Path

from pyflink.table import DataTypes
from pyflink.table.udf import udf

from coffee_core.settings import Settings
from flink.environment import table_environment
from flink.options import options
from flink.redis_sink import ShowInRedis
from flink.statements import DEFINITIONS, INSERTS, statement, values


def submit(settings: Settings, epoch: str, restore: str | None) -> str:
    """Submit the job, from a checkpoint or from the first order, and return its id."""
    environment = table_environment(options(settings, restore))
    filled = values(settings)
    for name in DEFINITIONS:
        environment.execute_sql(statement(name, filled))
    function = udf(ShowInRedis(settings.redis_url, epoch), result_type=DataTypes.BIGINT())
    environment.create_temporary_function("show_in_redis", function)
    inserts = environment.create_statement_set()
    for name in INSERTS:
        inserts.add_insert_sql(statement(name, filled))
    return str(inserts.execute().get_job_client().get_job_id())


def main() -> None:
    """Submit by the settings of the environment."""
    parser = argparse.ArgumentParser(prog="python -m flink.job", description=__doc__)
    parser.add_argument("--epoch", required=True, help="epoch in which the job may write to Redis")
    parser.add_argument("--restore", type=Path, help="folder of the checkpoint to continue from")
    given = parser.parse_args()
    restore = f"file://{given.restore.absolute()}" if given.restore else None
    sys.stdout.write(submit(Settings.from_env(), given.epoch, restore) + "\n")


if __name__ == "__main__":
    main()
