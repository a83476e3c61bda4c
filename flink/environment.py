"""The job's graph in Flink's table environment."""

from collections.abc import Mapping

from pyflink.common import Configuration
from pyflink.table import DataTypes, EnvironmentSettings, TableEnvironment
from pyflink.table.udf import ScalarFunction, udf

from flink.statements import DEFINITIONS, INSERTS, statement


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
