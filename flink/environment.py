"""Flink's table environment from a mapping of options."""

from collections.abc import Mapping

from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment


def table_environment(options: Mapping[str, str]) -> TableEnvironment:
    """Return a streaming environment with these options; starts the client's JVM."""
    configuration = Configuration()
    for key, value in options.items():
        configuration.set_string(key, value)
    mode = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration)
    return TableEnvironment.create(mode.build())
