"""What only Linux has is not needed: the sources work where it is missing, as on macOS.

No macOS runs here. One process takes away from Python what CPython offers on Linux alone, says that it is on
``darwin``, imports every module and calls what would have used it. What macOS itself does is not shown by this.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

LINUX = """
import asyncio, ctypes, importlib, json, multiprocessing, os, pathlib, pkgutil, resource, select, selectors, shutil
import signal, socket, subprocess, sys, sysconfig, time, urllib.request
# They stay those of this system, as does the standard library.
import aiohttp, psutil, uvloop

sysconfig.get_config_vars()
LACKING = {
    os: (
        "sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler pidfd_open eventfd "
        "memfd_create splice copy_file_range posix_fallocate posix_fadvise fdatasync getresuid setresuid "
        "getrandom O_TMPFILE O_DIRECT O_PATH O_RSYNC O_LARGEFILE setns unshare getxattr "
        "listxattr setxattr ST_NOEXEC ST_SYNCHRONOUS"
    ),
    signal: "pidfd_send_signal sigwaitinfo sigtimedwait SIGPWR SIGSTKFLT SIGRTMIN SIGRTMAX SIGPOLL SIGCLD",
    socket: (
        "TCP_USER_TIMEOUT TCP_QUICKACK TCP_DEFER_ACCEPT TCP_CORK TCP_SYNCNT TCP_LINGER2 TCP_WINDOW_CLAMP "
        "SO_PEERCRED SO_BINDTODEVICE SO_MARK SO_DOMAIN SO_PROTOCOL SOCK_CLOEXEC SOCK_NONBLOCK AF_NETLINK "
        "AF_PACKET AF_VSOCK"
    ),
    resource: "prlimit RLIMIT_OFILE RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_SIGPENDING RUSAGE_THREAD",
    time: "CLOCK_BOOTTIME CLOCK_TAI",
}
for module, names in LACKING.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)

class Libc(ctypes.CDLL):
    def __getattr__(self, name):
        if name in ("prctl", "timerfd_create", "timerfd_settime"):
            raise AttributeError(name)
        return super().__getattr__(name)

ctypes.CDLL = Libc
open_file = pathlib.Path.open

def open_what_is_there(path, *arguments, **options):
    if str(path).startswith(("/proc/", "/sys/")):
        raise FileNotFoundError(2, "no such file", str(path))
    return open_file(path, *arguments, **options)

pathlib.Path.open = open_what_is_there
os.geteuid = lambda: 501  # an ordinary user: root needs Linux' setpriv
sys.platform = "darwin"
"""
CALLS = """
for package in ("coffee_core", "backend", "flink", "coffee_tui"):
    for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        # Not alembic's, not what takes a second for its pictures, no programs with libraries of their own.
        programs = ("backend.lab.power_cut.forgetful", "backend.lab.bench.peers.")
        left_out = ("backend.db.", "backend.lab.bench.plots", *programs)
        if not module.name.startswith(left_out):
            importlib.import_module(module.name)

from backend.api.status import Costs
from backend.lab.bench.usage import usage
from backend.lab.chaos import standby
from backend.stack import doctor, parts, postgres, privileges, process
from coffee_core import parent_death_signal
from coffee_core.errors import StackError
from coffee_core.load.generator import open_alarm
from coffee_core.runstate import PartState, State, write_private, write_state
from coffee_core.settings import Settings

HOME = pathlib.Path(sys.argv[1])
settings = Settings(home=HOME)
found = {"missing": []}
for use in (
    lambda: resource.prlimit,
    lambda: socket.TCP_USER_TIMEOUT,
    lambda: ctypes.CDLL(None).prctl,
    lambda: pathlib.Path("/proc/self/stat").read_text(),
):
    try:
        use()
    except (AttributeError, OSError) as error:
        found["missing"].append(type(error).__name__)

async def alarm():
    alarm = open_alarm(lambda: None)
    alarm.set(time.monotonic() + 60)
    alarm.close()
    return type(alarm).__name__

parts.stack(settings)
write_private(HOME / "file", "text", durable=True)
us = PartState("redis", os.getpid(), None, State.UP, wrapper_pid=os.getpid())
write_state(HOME, us)
found["checks"] = [check.name for check in doctor.checkup(settings)]
found["killed for memory"] = process.killed_for_memory()
found["options"] = postgres._OPTIONS
found["alarm"] = asyncio.run(alarm())
found["memory"] = [asyncio.run(usage(HOME)).memory_of["redis"], Costs().read([us])["redis"].memory_bytes]
found["guard"] = parent_death_signal._prctl is None
found["shrink"] = standby._do("shrink", str(os.getpid()))
shutil.which = lambda name: None
try:
    privileges.run_as(("postgres",), os.geteuid() + 1, 1)
except StackError as error:
    found["root"] = str(error)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the calls have given on a system that lacks what Linux alone has."""
    command = [sys.executable, "-c", LINUX + CALLS, str(tmp_path_factory.mktemp("home"))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_is_taken_away_is_missing(elsewhere: dict[str, Any]) -> None:
    assert elsewhere["missing"] == ["AttributeError", "AttributeError", "AttributeError", "FileNotFoundError"]


def test_the_stack_and_its_doctor_need_nothing_of_linux(elsewhere: dict[str, Any]) -> None:
    assert {"python", "memory", "PostgreSQL", "Redis server", "Java"} <= set(elsewhere["checks"])
    assert elsewhere["killed for memory"] == 0
    assert elsewhere["guard"]


def test_a_commit_is_on_the_disk_on_macos_too(elsewhere: dict[str, Any]) -> None:
    assert elsewhere["options"]["wal_sync_method"] == "fsync_writethrough", (
        "fsync() ends in the disk's cache there"
    )
    assert "recovery_init_sync_method" not in elsewhere["options"]


def test_what_measures_needs_nothing_of_linux(elsewhere: dict[str, Any]) -> None:
    assert elsewhere["alarm"] == "CoarseAlarm"
    assert min(elsewhere["memory"]) > 0


def test_what_linux_alone_can_do_is_said(elsewhere: dict[str, Any]) -> None:
    assert "only Linux lets one process limit what another writes" in elsewhere["shrink"]
    assert elsewhere["root"].startswith("PostgreSQL refuses to run as root: run coffee as an ordinary user")
