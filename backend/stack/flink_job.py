"""The submitter of the v3 job, and what its client JVM needs to be quick."""

import asyncio
import sys
from pathlib import Path

from backend.stack import flink_rest as rest
from backend.stack.flink_cluster import JOB_MANAGER
from backend.stack.flink_config import empty_temporary, folder, write_configuration
from backend.stack.flink_home import client_classpath, flink_home, flink_home_path
from backend.stack.jars import jar_paths
from backend.stack.java import Archive, Background, java, write_argument_file
from backend.stack.part import Part
from backend.stack.preparation import compile_wheel, fetch_jars
from coffee_core.runstate import read_remarks
from coffee_core.settings import Settings

NAME = "flink-job"
JOB = "coffee-orders"
"""Name of the job, as ``flink.options`` gives it."""
_TUNING = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m")
_background = Background()


def part(settings: Settings) -> Part:
    """Return the submitter; it runs here also where the cluster is a given one."""
    arguments = folder(settings) / "client.args"
    home = flink_home_path(jar_paths())

    async def ready() -> bool:
        return await rest.job_runs(settings.flink_rest_url, JOB)

    async def prepare() -> None:
        archive = await _archive()
        await compile_wheel()
        await asyncio.to_thread(write_configuration, settings)
        temporary = await asyncio.to_thread(empty_temporary, settings, NAME)
        options = [*_TUNING, *archive.options(), f"-Djava.io.tmpdir={temporary}"]
        await asyncio.to_thread(write_argument_file, arguments, options)

    async def settle() -> None:
        _background.start(await _archive())

    conf = folder(settings) / "conf"
    return Part(
        NAME,
        (sys.executable, "-m", "flink.submit"),
        ready,
        env={
            **settings.addresses,
            "COFFEE_HOME": str(settings.home),
            "FLINK_HOME": str(home),
            "FLINK_CONF_DIR": str(conf),
            "FLINK_LOG_DIR": str(folder(settings) / "log"),
            "LOG4J_PROPERTIES": str(conf / "log4j-cli.properties"),
            "JAVA_HOME": str(java().parent.parent),
            # PyFlink splits JVM_ARGS at spaces; the launcher reads this one with its quotes.
            "JDK_JAVA_OPTIONS": f'"@{arguments}"',
        },
        prepare=prepare,
        settle=settle,
        remark=lambda: read_remarks(settings.home).get(NAME, ""),
        # Not the TaskManagers: the job is planned while they start, and waits for its slots by itself.
        needs=("kafka", "postgres", "redis", JOB_MANAGER),
    )


async def _archive() -> Archive:
    home: Path = await asyncio.to_thread(flink_home, await fetch_jars())
    return Archive("client", client_classpath(home), _TUNING[:2])
