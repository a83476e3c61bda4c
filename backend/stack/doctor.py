"""Checks what this machine has, before or instead of a start."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from backend.stack import postgres, redis, state
from backend.stack.ports import is_free, owner
from coffee_core.errors import StackError
from coffee_core.pipelines.constants import V3
from coffee_core.settings import Settings

_LEAST_DISK_BYTES = 2_000_000_000
_WITHIN_S = 10


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
        _account(),
        _disk(settings.home),
    ]
    if not settings.given_database_url:
        checks.append(_program("PostgreSQL", postgres.binary_of_server, "--version"))
    if not settings.given_redis_url:
        checks.append(_program("Redis server", redis.binary, "--version"))
    if V3 in settings.pipelines:
        from backend.stack.jvm import java  # not needed where v3 is not wanted

        checks += [_program("Java", java, "-version"), _flink()]
    return checks + _ports(settings)


def _account() -> Check:
    if os.geteuid() != 0:
        return Check("account", ok=True, detail=f"uid {os.geteuid()}")
    found = shutil.which("setpriv") is not None
    how = (
        "PostgreSQL will run as nobody" if found else "install setpriv (util-linux), or do not run coffee as root"
    )
    return Check("account", found, f"root; {how}")


def _disk(home: Path) -> Check:
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    enough = free >= _LEAST_DISK_BYTES and os.access(folder, os.W_OK)
    writable = "" if os.access(folder, os.W_OK) else ", not writable"
    return Check("disk", enough, f"{free / 1e9:.1f} GB free in {folder}{writable} (2 GB are wanted)")


def _program(name: str, find: Callable[[], Path], flag: str) -> Check:
    try:
        path = find()
        said = subprocess.run([path, flag], capture_output=True, text=True, timeout=_WITHIN_S, check=True)
    except (StackError, OSError, subprocess.SubprocessError) as error:
        return Check(name, ok=False, detail=str(error))
    return Check(name, ok=True, detail=(said.stdout or said.stderr).strip().splitlines()[0])


def _flink() -> Check:
    found = importlib.util.find_spec("pyflink") is not None
    return Check(
        "apache-flink", found, "installed" if found else "no wheel for this machine: v1 and v2 alone will run"
    )


def _ports(settings: Settings) -> list[Check]:
    if state.holders(settings.home):
        return [Check("ports", ok=True, detail="in use by the stack that runs here")]
    checks = []
    for each in fields(settings):
        setting = each.metadata["env"]
        if setting.endswith("_PORT") and _wanted(setting, settings):
            port = getattr(settings, each.name)
            free = is_free(port)
            detail = "free" if free else f"taken by {owner(port)}: end that, or set {setting}"
            checks.append(Check(f"port {port}", free, detail))
    return checks


def _wanted(setting: str, settings: Settings) -> bool:
    v3 = V3 in settings.pipelines
    given = {
        "POSTGRES": bool(settings.given_database_url),
        "REDIS": bool(settings.given_redis_url),
        "KAFKA": bool(settings.given_kafka_servers) or not v3,
        "FLINK": bool(settings.given_flink_rest_url) or not v3,
    }
    return not any(skip for word, skip in given.items() if f"_{word}_" in setting)
