"""A file system (FUSE) that forgets: at a cut it has what was synced, and nothing else.

Every operation goes through to a folder, ``live``. What a file held when it was last synced stands beside it, in
``synced``; which names a folder had when it was last synced is remembered. After a cut there is that alone. Bytes
that were written and not synced are gone, and so is a file, or a new name of one, whose folder was not synced.
That is all that POSIX promises; many file systems keep more, and none has to. Nothing reaches the disk by itself
here, while a system would write it after half a minute.

Run as a program it mounts, until it is unmounted or its standard input ends; then what has outlived the cut takes
the place of ``live``. It takes ``mfusepy``, libfuse and /dev/fuse.
"""

import errno
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import mfusepy

from coffee_core.children import child_environ

_UNMOUNT = shutil.which("fusermount3") or "fusermount3"
SECTOR_BYTES = 512
"""A disk writes sectors as a whole: of several, a cut may leave any."""
_BLOCK_BYTES = 1 << 20
_HIDDEN = ".fuse_hidden"
"""Names by which libfuse keeps files that were deleted while they are open."""
_TIMES = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")
_NUMBERS = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
_CACHED_S = 60
"""Seconds for which the kernel may remember names and attributes: nobody else changes them."""


@dataclass(slots=True)
class _Unsynced:
    """What of a file was written since it was last synced."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    """First byte, and the byte after the last."""

    def add(self, start: int, end: int) -> None:
        if self.ranges and self.ranges[-1][0] <= start <= self.ranges[-1][1]:
            self.ranges[-1] = (self.ranges[-1][0], max(end, self.ranges[-1][1]))
        else:
            self.ranges.append((start, end))


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in a folder, as it was when the folder was synced."""

    number: int
    """Of the file or folder: no two ever have the same, while inodes are used again."""
    mode: int
    uid: int
    gid: int
    target: str = ""
    """Of a symbolic link."""


class Forgetful(mfusepy.Operations):  # type: ignore[misc]
    """The operations, one at a time, on a folder with ``live`` in it: all that is there at the start is synced."""

    use_ns = True

    def __init__(self, folder: Path) -> None:
        self._live = str(folder / "live")
        self._synced = folder / "synced"
        self._numbers = count(1)
        self._number_of: dict[int, int] = {}
        """Inode → number."""
        self._unsynced: defaultdict[int, _Unsynced] = defaultdict(_Unsynced)
        self._names: dict[int, dict[str, _Entry]] = {}
        """Number of a folder → its names when it was last synced."""
        self._synced.mkdir()
        self._adopt(self._live)
        for path, folders, files in os.walk(self._live):
            for name in (*folders, *files):
                self._adopt(os.path.join(path, name))
            self._sync_folder(path)

    def _adopt(self, path: str) -> None:
        found = os.lstat(path)
        number = self._number_of[found.st_ino] = next(self._numbers)
        if stat.S_ISREG(found.st_mode):
            with _opened(path, os.O_RDONLY) as source, self._synced_file(number) as copy:
                _copy(source, copy, 0, found.st_size)
                os.ftruncate(copy, found.st_size)

    # What makes something last.

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """Sync a file."""
        found = os.fstat(fh)
        number = self._number_of[found.st_ino]
        unsynced = self._unsynced.pop(number, _Unsynced())
        with self._synced_file(number) as copy:
            for start, end in unsynced.ranges:
                _copy(fh, copy, start, min(end, found.st_size))
            os.ftruncate(copy, found.st_size)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        """Sync the names of a folder."""
        self._sync_folder(self._at(path))
        return 0

    def _sync_folder(self, path: str) -> None:
        names = {}
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.startswith(_HIDDEN):
                    found = entry.stat(follow_symlinks=False)
                    target = os.readlink(entry.path) if entry.is_symlink() else ""
                    number = self._number_of[found.st_ino]
                    names[entry.name] = _Entry(number, found.st_mode, found.st_uid, found.st_gid, target)
        self._names[self._number_of[os.lstat(path).st_ino]] = names

    @contextmanager
    def _synced_file(self, number: int) -> Iterator[int]:
        with _opened(str(self._synced / str(number)), os.O_RDWR | os.O_CREAT) as handle:
            yield handle

    # What is left.

    def cut(self, torn: random.Random | None = None) -> None:
        """Let ``live`` be what outlives a cut.

        ``torn``: of what was not synced, each sector of a file that is there has reached the disk by chance.
        """
        root = self._number_of[os.lstat(self._live).st_ino]
        left = Path(f"{self._live}.left")
        left.mkdir()
        self._restore(root, left, {}, torn)
        owner = os.lstat(self._live)
        os.chown(left, owner.st_uid, owner.st_gid)
        left.chmod(stat.S_IMODE(owner.st_mode))
        shutil.rmtree(self._live)
        left.rename(self._live)
        shutil.rmtree(self._synced)

    def _restore(self, folder: int, to: Path, done: dict[int, Path], torn: random.Random | None) -> None:
        for name, entry in self._names.get(folder, {}).items():
            path = to / name
            if stat.S_ISLNK(entry.mode):
                path.symlink_to(entry.target)
            elif stat.S_ISDIR(entry.mode):
                if entry.number in done:  # moved, and the folder where it was was not synced: there is one of it
                    continue
                done[entry.number] = path
                path.mkdir()
                self._restore(entry.number, path, done, torn)
            elif entry.number in done:
                path.hardlink_to(done[entry.number])
                continue
            else:
                done[entry.number] = path
                kept = self._synced / str(entry.number)
                if torn is not None and (unsynced := self._unsynced.get(entry.number)):
                    self._tear(entry.number, unsynced, torn)
                # Its name was synced, what it holds was not: it is empty.
                kept.rename(path) if kept.exists() else path.touch()
            os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
            if not stat.S_ISLNK(entry.mode):
                path.chmod(stat.S_IMODE(entry.mode))

    def _tear(self, number: int, unsynced: _Unsynced, chance: random.Random) -> None:
        path = next((path for inode, path in self._live_files() if self._number_of.get(inode) == number), None)
        if path is None:  # it was deleted, and its folder not synced since: what was written last is nowhere
            return
        with _opened(path, os.O_RDONLY) as source, self._synced_file(number) as copy:
            size = os.fstat(source).st_size
            for start, end in unsynced.ranges:
                for sector in range(start - start % SECTOR_BYTES, min(end, size), SECTOR_BYTES):
                    if chance.random() < 0.5:
                        _copy(source, copy, max(start, sector), min(end, size, sector + SECTOR_BYTES))

    def _live_files(self) -> Iterator[tuple[int, str]]:
        for folder, _, files in os.walk(self._live):
            for name in files:
                path = os.path.join(folder, name)
                yield os.lstat(path).st_ino, path

    # What goes through to the folder.

    def _at(self, path: str) -> str:
        return self._live + path

    def _made(self, path: str) -> None:
        """Give what was made the account of who made it, and a number of its own."""
        uid, gid, _ = mfusepy.fuse_get_context()
        os.chown(path, uid, gid, follow_symlinks=False)
        self._number_of[os.lstat(path).st_ino] = next(self._numbers)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        found = os.lstat(self._at(path)) if fh is None else os.fstat(fh)
        numbers = {name: getattr(found, name) for name in _NUMBERS}
        return numbers | {name.removesuffix("_ns"): getattr(found, name) for name in _TIMES}

    def create(self, path: str, mode: int, flags: int = 0) -> int:
        handle = os.open(self._at(path), (flags & os.O_EXCL) | os.O_CREAT | os.O_TRUNC | os.O_RDWR, mode)
        self._made(self._at(path))
        return handle

    def open(self, path: str, flags: int) -> int:
        # To be synced it must be read, too. Each write says where: O_APPEND would put it elsewhere.
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        return os.open(self._at(path), (os.O_RDWR if writes else os.O_RDONLY) | flags & os.O_TRUNC)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        written = os.pwrite(fh, data, offset)
        self._unsynced[self._number_of[os.fstat(fh).st_ino]].add(offset, offset + written)
        return written

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self._at(path), length)
        return 0

    def fallocate(self, path: str, mode: int, offset: int, size: int, fh: int) -> int:
        if mode == 0 and sys.platform != "darwin":  # which has no posix_fallocate
            os.posix_fallocate(fh, offset, size)
            return 0
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._at(path))]

    def readlink(self, path: str) -> str:
        return os.readlink(self._at(path))

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode)
        self._made(self._at(path))
        return 0

    def symlink(self, target: str, source: str) -> int:
        os.symlink(source, self._at(target))
        self._made(self._at(target))
        return 0

    def link(self, target: str, source: str) -> int:
        os.link(self._at(source), self._at(target), follow_symlinks=False)
        return 0

    def rename(self, old: str, new: str) -> int:
        os.rename(self._at(old), self._at(new))
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self._at(path))
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._at(path), mode)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        os.chown(self._at(path), uid, gid, follow_symlinks=False)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self._at(path), ns=times or (time.time_ns(),) * 2, follow_symlinks=False)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self._at(path))
        return {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    handle = os.open(path, flags, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)


def _copy(source: int, to: int, start: int, end: int) -> None:
    """Copy bytes to the same place, holes left out."""
    while start < end:
        try:
            start = os.lseek(source, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            raise
        if not (block := os.pread(source, min(_BLOCK_BYTES, end - start), start)) or start >= end:
            return
        os.pwrite(to, block, start)
        start += len(block)


def main() -> None:
    """Mount: FOLDER MOUNTPOINT [SEED], torn writes by the seed."""
    folder, mountpoint, *seed = sys.argv[1:]
    os.umask(0)  # the kernel has applied the caller's
    operations = Forgetful(Path(folder))

    def unmount_at_eof() -> None:
        sys.stdin.read()
        subprocess.run((_UNMOUNT, "-uz", mountpoint), env=child_environ(), check=False)

    threading.Thread(target=unmount_at_eof, daemon=True).start()
    options = {"allow_other": True} if os.geteuid() == 0 else {}
    mfusepy.FUSE(
        operations,
        mountpoint,
        foreground=True,
        nothreads=True,  # one at a time: what is synced is the file at one moment
        default_permissions=True,
        attr_timeout=_CACHED_S,
        entry_timeout=_CACHED_S,
        fsname="forgetful",
        **options,
    )
    operations.cut(random.Random(seed[0]) if seed else None)


if __name__ == "__main__":
    main()
