"""Submits the job: ``python -m flink.job --epoch E [--restore URI]`` prints the job's id.

Run by ``flink.submit`` as a process of its own, so that the client's JVM is gone when the job runs.
"""

import argparse
import sys
from collections.abc import Mapping

from pyflink.common import Configuration
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.udf import ScalarFunction, udf

from coffee_core.settings import Settings
from flink.functions import ShowInRedis, ShowWindowInRedis
from flink.options import options
from flink.statements import DEFINITIONS, INSERTS, TALLY_FUNCTION, WINDOW_FUNCTION, statement, values

# The job's graph in Flink's table environment.


def submit_graph(
    options: Mapping[str, str], values: Mapping[str, str], functions: Mapping[str, ScalarFunction]
) -> str:
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
