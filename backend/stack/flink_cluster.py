"""The embedded Flink: one JobManager, and two TaskManagers of which one is a warm spare."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from backend.stack import flink_rest as rest
from backend.stack.flink_config import (
    JOB_MANAGER_FLAGS,
    TASK_MANAGER_FLAGS,
    empty_temporary,
    folder,
    write_configuration,
)
from backend.stack.flink_home import cluster_classpath, flink_home, wheel
from backend.stack.java import Archive, Background, java, join, write_argument_file
from backend.stack.part import Part, silent
from backend.stack.preparation import compile_wheel, fetch_jars
from coffee_core.runstate import read_remarks
from coffee_core.settings import Settings

JOB_MANAGER = "flink-jobmanager"
TASK_MANAGERS = ("flink-taskmanager-1", "flink-taskmanager-2")
"""One works, the other is the spare; which is which changes with every failure."""
_SPARE_FIRST_S = 4.0
"""A starting JVM takes two cores for seconds: the spare first takes over what the dead one did."""
_background = Background()


@dataclass(frozen=True, slots=True)
class _Program:
    main: str
    flags: tuple[str, ...]
    options: tuple[str, ...] = ()
    complete_with: str = ""


def job_manager(settings: Settings) -> Part:
    """Return the JobManager, or the given cluster's as an external part."""

    async def ready() -> bool:
        return await rest.answers(settings.flink_rest_url)

    program = _Program(
        "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
        (*JOB_MANAGER_FLAGS, "-XX:+UseSerialGC"),
    )
    return _part(settings, JOB_MANAGER, program, ready, settings.flink_rest_port)


def task_manager(settings: Settings, number: int) -> Part:
    """Return one of the TaskManagers (1 or 2), or the given cluster's as an external part."""
    name = TASK_MANAGERS[number - 1]
    registered: dict[str, str] = {}
    gone: set[str] = set()
    """The address of its last process: the JobManager may take a while to miss it."""

    async def ready() -> bool:
        registered.clear()
        registered.update(await rest.task_managers(settings.flink_rest_url))
        if settings.given_flink_rest_url:
            return bool(registered)
        if name not in registered:
            gone.clear()
        return name in registered and registered[name] not in gone

    def remark() -> str:
        return read_remarks(settings.home).get(registered.get(name, ""), "cold")

    program = _Program(
        "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
        (*TASK_MANAGER_FLAGS, "-XX:+UseSerialGC"),
        ("-D", f"taskmanager.resource-id={name}"),
        # The spare's classes alone would make a poor archive.
        complete_with="org/postgresql/jdbc/PgPreparedStatement",
    )
    part = _part(settings, name, program, ready, None, remark)

    async def prepare() -> None:
        if last := (await rest.task_managers(settings.flink_rest_url)).get(name):
            gone.add(last)
        await part.prepare()

    return part if part.external else replace(part, prepare=prepare, pause_s=_SPARE_FIRST_S)


def _part(
    settings: Settings,
    name: str,
    program: _Program,
    ready: rest.Question,
    port: int | None,
    remark: Callable[[], str] = silent,
) -> Part:
    if settings.given_flink_rest_url:
        return Part(name, (), ready, external=True)
    home = folder(settings)
    arguments = home / f"{name}.args"

    async def prepare() -> None:
        archive = await _archive(program, name)
        await compile_wheel()
        conf = await asyncio.to_thread(write_configuration, settings)
        temporary = await asyncio.to_thread(empty_temporary, settings, name)
        logging = (conf / "log4j-console.properties").as_uri()
        command = [
            *program.flags,
            *archive.options(),
            f"-Djava.io.tmpdir={temporary}",
            f"-Dlog4j.configurationFile={logging}",
            f"-Dlog.file={home / 'log' / name}.log",
            "-cp",
            join(archive.classpath),
            program.main,
            "--configDir",
            str(conf),
            *program.options,
        ]
        await asyncio.to_thread(write_argument_file, arguments, command)

    async def settle() -> None:
        _background.start(await _archive(program, name))

    return Part(
        name,
        (str(java()), f"@{arguments}"),
        ready,
        port=port,
        env={
            "FLINK_CONF_DIR": str(home / "conf"),
            "FLINK_PLUGINS_DIR": str(wheel() / "plugins"),
            "PATH": _path_with_our_python(),
        },
        prepare=prepare,
        settle=settle,
        remark=remark,
        needs=() if name == JOB_MANAGER else (JOB_MANAGER,),
    )


def _path_with_our_python() -> str:
    """Return PATH with this environment first: Python inside the TaskManager finds its packages by the PATH."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


async def _archive(program: _Program, part: str) -> Archive:
    """Return the archive of a part's program; the TaskManagers share one."""
    jars = await fetch_jars()
    home = await asyncio.to_thread(flink_home, jars)
    name = program.main.rpartition(".")[2]
    return Archive(name, cluster_classpath(home, jars), ("-XX:+UseSerialGC",), program.complete_with, part)
