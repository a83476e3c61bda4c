"""Runs one Python call in each free slot and ends: ``python -m flink.warm --slots N`` prints the job's id."""

import argparse
import sys

from pyflink.table import DataTypes, TableEnvironment
from pyflink.table.udf import udf

from coffee_core.settings import Settings
from flink.environment import table_environment
from flink.options import client_options
from flink.redis_sink import WarmUp
from flink.statements import statement


def submit(settings: Settings, slots: int) -> str:
    """Submit the warm-up for this many slots and return its id."""
    chosen = {"pipeline.name": "coffee-warm-up", "parallelism.default": str(slots)}
    environment: TableEnvironment = table_environment({**client_options(settings), **chosen})
    environment.execute_sql(statement("warmed", {}))
    environment.create_temporary_function("warm_up", udf(WarmUp(), result_type=DataTypes.BIGINT()))
    result = environment.execute_sql(statement("warm", {"rows": ", ".join(["(1)"] * slots)}))
    return str(result.get_job_client().get_job_id())


def main() -> None:
    """Submit by the settings of the environment."""
    parser = argparse.ArgumentParser(prog="python -m flink.warm", description=__doc__)
    parser.add_argument("--slots", type=int, required=True, help="number of slots to warm")
    sys.stdout.write(submit(Settings.from_env(), parser.parse_args().slots) + "\n")


if __name__ == "__main__":
    main()
