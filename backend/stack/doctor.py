"""Checks what this machine has, before or instead of a start."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path

from backend.stack import locks, postgres, redis
from backend.stack.part import LOOPBACK
from backend.stack.places import ON_JAVA, cache_dir, cache_obstacle, fuse_obstacle, home_obstacle, java_obstacle
from backend.stack.ports import obstacle_at
from backend.stack.privileges import account_obstacle
from backend.stack.supported_pipelines import missing_library, missing_package, supported_pipelines
from backend.stack.wanted import wanted_servers
from coffee_core.children import PROXIES, child_environ
from coffee_core.entry import DROPPED, libpq_is_meant
from coffee_core.errors import StackError
from coffee_core.pipelines import FOLDERS_VARIABLE
from coffee_core.runstate import READY_FILE
from coffee_core.settings import Settings

_LEAST_DISK_BYTES = 2_000_000_000
_LEAST_MEMORY_BYTES = 300_000_000
_JVM_MEMORY_BYTES = 1_500_000_000
"""With Kafka and Flink: five JVMs, which hold some 1.4 GB."""
_OUR_CONTROL_GROUPS = Path("/proc/self/cgroup")
_CONTROL_GROUPS = Path("/sys/fs/cgroup")
_FIRST_VERSION = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_SECOND_VERSION = ("memory.max", "memory.current", "inactive_file")
"""Where a control group has its limit, what is used of it, and, in its statistics, what of that is but a cache."""
_PROGRAM_WITHIN_S = 10
_JAVA = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "JVM_ARGS", "FLINK_ENV_JAVA_OPTS"}
_PYTHON = {"PYTHONPATH", "PYTHONHOME", "PYTHONOPTIMIZE", "PYTHONWARNINGS", "PYTHONINSPECT", "PYTHONPYCACHEPREFIX"}
_LIBPQ = "PG…"
_NO_PART = "meant for other programs, no part of the lab gets them"
_FOR_OTHERS: tuple[tuple[str, Callable[[str], bool], str], ...] = (
    ("JAVA…", _JAVA.__contains__, _NO_PART),
    ("PYTHON…", _PYTHON.__contains__, _NO_PART),
    (_LIBPQ, lambda name: name.startswith("PG"), _NO_PART),
    ("proxies", PROXIES.__contains__, "jars are fetched by them, nothing else"),
)
"""Variables that programs of the lab would heed: a name for them, which they are, what becomes of them."""


_ALIKE = 0.85
"""From which likeness on a name is taken for a misspelt setting: COFFEE_X and COFFEE_HOST have 0.7."""
_BETWEEN_PARTS = (FOLDERS_VARIABLE, READY_FILE)
"""Variables that are no settings: parts of the lab tell each other by them."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    """What."""
    ok: bool
    """Whether the lab can work with it."""
    detail: str
    """What was found, or what to do."""


def checkup(settings: Settings) -> list[Check]:
    """Return all checks for these settings; starts no server."""
    checks = [
        Check("python", sys.version_info[:2] in {(3, 11), (3, 12)}, f"{platform.python_version()} (3.11 or 3.12)"),
        _account(settings),
        _disk(settings.home),
        _memory(settings),
    ]
    if not settings.given_database_url:
        checks.append(_program("PostgreSQL", postgres.server_binary, "--version"))
        checks += _killed_server(settings.home)
    if not settings.given_redis_url:
        checks.append(_program("Redis server", redis.binary, "--version"))
    if ON_JAVA & wanted_servers(settings):
        checks.append(_cache(settings))
        from backend.stack.jvm import java  # not needed where nothing runs on it

        checks.append(_program("Java", java, "-version"))
    return [*checks, *_packages(settings), *_ports(settings), _fuse(), *_variables()]


def _account(settings: Settings) -> Check:
    if os.geteuid() != 0:
        obstacle = "" if settings.given_database_url else account_obstacle(os.geteuid())
        return Check("account", not obstacle, obstacle or f"uid {os.geteuid()}")
    found = shutil.which("setpriv") is not None
    detail = (
        "PostgreSQL will run as nobody"
        if found
        else "run coffee as an ordinary user, or, on Linux, install setpriv (util-linux)"
    )
    return Check("account", found, f"root; {detail}")


def _disk(home: Path) -> Check:
    if obstacle := home_obstacle(home):
        return Check("disk", ok=False, detail=obstacle)
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    return Check("disk", free >= _LEAST_DISK_BYTES, f"{free / 1e9:.1f} GB free in {folder} (2 GB are wanted)")


def _memory(settings: Settings) -> Check:
    import psutil  # as expensive as the rest of a doctor without it

    wanted = _JVM_MEMORY_BYTES if _runs_java(settings) else _LEAST_MEMORY_BYTES
    there = min([psutil.virtual_memory().available, *_left_in_control_groups()])
    detail = f"{there / 1e9:.1f} GB available ({wanted / 1e9:.1f} GB are wanted)"
    if there < wanted:
        detail += ": end other programs"
        light = [pipeline for pipeline in settings.pipelines if not ON_JAVA & set(pipeline.info.servers)]
        if light and there >= _LEAST_MEMORY_BYTES:
            enough = f"{_LEAST_MEMORY_BYTES / 1e9:.1f} GB"
            detail += f", or start with --pipelines {','.join(light)}, for which {enough} will do"
    return Check("memory", there >= wanted, detail)


def _left_in_control_groups() -> Iterator[int]:
    """Yield the bytes that each control group of this process has left: a container may have less than all."""
    try:
        ours = _OUR_CONTROL_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for line in ours:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, limit, usage, cache = _CONTROL_GROUPS / "memory", *_FIRST_VERSION
        elif not controllers:
            root, limit, usage, cache = _CONTROL_GROUPS, *_SECOND_VERSION
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *(above for above in group.parents if above.is_relative_to(root))):
            try:
                most = int((folder / limit).read_text(encoding="ascii"))
                used = int((folder / usage).read_text(encoding="ascii"))
                statistics = (folder / "memory.stat").read_text(encoding="ascii").split()
            except (OSError, ValueError):  # not seen from within, or "max"
                continue
            yield most - used + int(statistics[statistics.index(cache) + 1])


def _runs_java(settings: Settings) -> bool:
    return bool(ON_JAVA & _started_servers(settings))


def _killed_server(home: Path) -> Iterator[Check]:
    """Yield a check where a killed PostgreSQL has left its pid file."""
    if (home / postgres.NAME / postgres.PID_FILE).exists() and not locks.holders(home):
        yield Check(
            "last stop", ok=True, detail="PostgreSQL was killed: its next start recovers what was committed"
        )


def _cache(settings: Settings) -> Check:
    """Look at where Kafka's and Flink's files lie, and how much the cache holds."""
    try:
        cache = cache_dir()
        if obstacle := java_obstacle(settings) or cache_obstacle(cache):
            return Check("folders", ok=False, detail=obstacle)
    except StackError as error:
        return Check("folders", ok=False, detail=str(error))
    size = sum(path.lstat().st_size for path in cache.rglob("*") if path.is_file() and not path.is_symlink())
    return Check("cache", ok=True, detail=f"{size / 1e6:,.0f} MB in {cache}")


def _program(name: str, find: Callable[[], Path], flag: str) -> Check:
    try:
        result = subprocess.run(
            [find(), flag],
            env=child_environ(),
            capture_output=True,
            text=True,
            timeout=_PROGRAM_WITHIN_S,
            check=True,
        )
    except (StackError, OSError, subprocess.SubprocessError) as error:
        return Check(name, ok=False, detail=str(error))
    return Check(name, ok=True, detail=(result.stdout or result.stderr).strip().splitlines()[0])


def _variables() -> Iterator[Check]:
    """Yield a check for each kind of variable that is meant for other programs, and that the lab would heed."""
    names = sorted({*os.environ, *DROPPED} - {"PYTHONSAFEPATH"})
    for what, heeded, remark in _FOR_OTHERS:
        found = ", ".join(name for name in names if heeded(name))
        if found:
            given = what == _LIBPQ and libpq_is_meant()
            yield Check(what, ok=True, detail=f"{found}: {'they hold for DATABASE_URL' if given else remark}")
    known = [setting.metadata["env"] for setting in fields(Settings)]
    for name in names:
        if name.startswith("COFFEE_") and name not in known and name not in _BETWEEN_PARTS:
            meant = get_close_matches(name, known, 1, _ALIKE)
            hint = f": did you mean {meant[0]}?" if meant else ", see docs/settings.md"
            detail = f"no setting of that name{hint}"
            yield Check(name, ok=True, detail=detail)


def _packages(settings: Settings) -> Iterator[Check]:
    """Yield a check for each Python package that one of the chosen pipelines requires."""
    supported, _ = supported_pipelines(settings)
    others = " and ".join(supported.pipelines)
    for pipeline in settings.pipelines:
        missing = missing_package(pipeline)
        for package in pipeline.info.requires:
            detail = f"{package.hint}: {others} alone will run" if missing else "installed"
            yield Check(package.package, not missing, detail)
    if "flink" in _started_servers(settings) and (library := missing_library()):
        yield Check("libpython", ok=False, detail=f"{library}: {others} alone will run")


def _fuse() -> Check:
    obstacle = fuse_obstacle()
    what = (
        f"{obstacle} (`coffee chaos power-cut` alone needs it)" if obstacle else "`coffee chaos power-cut` can run"
    )
    return Check("/dev/fuse", ok=True, detail=what)


def _ports(settings: Settings) -> list[Check]:
    if locks.holders(settings.home):
        return [Check("ports", ok=True, detail="in use by the stack that runs here")]
    started = _started_servers(settings)
    checks = []
    for field in fields(settings):
        setting: str = field.metadata["env"]  # COFFEE_API_PORT, COFFEE_KAFKA_CONTROLLER_PORT, …
        if setting.endswith("_PORT") and setting.split("_")[1].lower() in started:
            port = getattr(settings, field.name)
            host = settings.host if field.name == "api_port" else LOOPBACK
            checks.append(_port(port, host, setting))
    return checks


def _port(port: int, host: str, setting: str) -> Check:
    try:
        obstacle = obstacle_at(port, host)
    except StackError as error:
        return Check(f"port {port}", ok=False, detail=str(error))
    return Check(f"port {port}", not obstacle, f"{obstacle}, or set {setting}" if obstacle else "free")


def _started_servers(settings: Settings) -> set[str]:
    """Return what listens on a port of this machine: the API and the wanted servers that are not given."""
    given = {
        "postgres": settings.given_database_url,
        "redis": settings.given_redis_url,
        "kafka": settings.given_kafka_servers,
        "flink": settings.given_flink_rest_url,
    }
    return {"api", *wanted_servers(settings)} - {name for name, address in given.items() if address}
