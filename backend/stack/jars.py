"""The jars of Kafka and of Flink's connectors: fetched once into the user's cache, verified against the lock.

The checked-in lock has of every jar its Maven coordinate, its size in bytes and its SHA-256. Nothing here knows an
address: jgo asks Maven Central by coordinate. Once every jar is verified no network is touched; a stamp of size
and mtime spares the hashing at a warm start.
"""

import asyncio
import hashlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path

import truststore

from backend.stack.part import report_progress
from backend.stack.places import cache_dir
from coffee_core.backoff import Backoff
from coffee_core.errors import StackError
from coffee_core.file_lock import locked, open_lock_file
from coffee_core.runstate import sync_file, write_private

LOCK_NAME = "jars.lock.json"
Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all, from any thread, one call at a time."""
_DOWNLOADS = 4
_ATTEMPTS = 4
_TIMEOUT_S = 30
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 4.0
_CHUNK_BYTES = 1 << 20
_MEGABYTE = 1_000_000
_BAR_CELLS = 20


@dataclass(frozen=True, slots=True)
class LockedJar:
    """One jar that the lock knows."""

    coordinate: str
    """``group:artifact:version`` on Maven Central."""
    bytes: int
    """Size in bytes."""
    sha256: str
    """Hash of the file, lower-case hexadecimal."""

    @property
    def file_name(self) -> str:
        """Name of the file in the cache: ``artifact-version.jar``."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


JarLock = Mapping[str, tuple[LockedJar, ...]]
"""Group (kafka, connectors, planner) → its jars in classpath order."""


def read_lock(text: str | None = None) -> JarLock:
    """Read the lock that is shipped with the package, or the given text."""
    if text is None:
        text = files("backend.stack").joinpath(LOCK_NAME).read_text(encoding="utf-8")
    return {group: tuple(LockedJar(**jar) for jar in jars) for group, jars in json.loads(text).items()}


def write_lock(lock: JarLock) -> str:
    """Return the text of a lock, one jar a line so that a change reads well in a diff."""
    groups = []
    for group, jars in lock.items():
        lines = ",\n".join(f"    {json.dumps(asdict(jar))}" for jar in jars)
        groups.append(f'  "{group}": [\n{lines}\n  ]')
    return "{\n" + ",\n".join(groups) + "\n}\n"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def verify(jar: LockedJar, path: Path) -> None:
    """Compare a file with the lock.

    Raises StackError naming the jar and what differs.
    """
    size = path.stat().st_size
    if size != jar.bytes:
        raise StackError(f"{jar.coordinate}: {size:,} bytes instead of the {jar.bytes:,} of {LOCK_NAME}")
    if (found := sha256_of(path)) != jar.sha256:
        raise StackError(
            f"{jar.coordinate}: SHA-256 {found} is not the {jar.sha256} of {LOCK_NAME}; the file was refused"
        )


@dataclass(frozen=True, slots=True)
class JarPaths:
    """Where the verified jars lie."""

    kafka: tuple[Path, ...]
    """The broker's class path."""
    connectors: tuple[Path, ...]
    """Flink's connectors and the PostgreSQL driver."""
    planner: Path
    """The planner that Flink's client loads directly, without the loader of the wheel."""


async def fetch_jars() -> JarPaths:
    """Return the verified jars, reporting the bytes while they are fetched. Raises StackError."""
    return await asyncio.to_thread(ensure_jars, _report_bytes)


def ensure_jars(
    progress: Progress = lambda _done, _total: None,
    *,
    folder: Path | None = None,
    lock: JarLock | None = None,
    repositories: Mapping[str, str] | None = None,
) -> JarPaths:
    """Return the paths of all jars, fetching the missing ones; blocks; several processes may call it at once.

    ``repositories`` (name → URL) stands in for Maven Central, e.g. a mirror of one's own.
    Raises StackError naming the jar that could not be fetched or that is not the one of the lock.
    """
    folder = folder or cache_dir() / "jars"
    lock = read_lock() if lock is None else lock
    # Each once: a codec is in two groups.
    jars = list(dict.fromkeys(jar for group in lock.values() for jar in group))
    ensure_files(jars, folder, progress, repositories)
    return jar_paths(folder=folder, lock=lock)


def ensure_files(
    jars: list[LockedJar],
    folder: Path,
    progress: Progress = lambda _done, _total: None,
    repositories: Mapping[str, str] | None = None,
) -> None:
    """Fetch and verify those jars that a folder lacks; blocks. Raises StackError as ``ensure_jars`` does."""
    with exclusive(folder):
        stamps = _read_stamps(folder)
        missing = [jar for jar in jars if not _present(jar, folder, stamps)]
        if missing:
            _fetch_all(missing, folder, progress, repositories)
            # What is stamped is not read again: after a power cut it must be what it was.
            sync_file(folder)
            stamps = {jar.file_name: _stamp(jar, folder / jar.file_name) for jar in jars}
            write_private(folder / "verified.json", json.dumps(stamps))
        _note_use(jars, folder)


def _note_use(jars: list[LockedJar], folder: Path) -> None:
    """Note in a file of the folder that these jars are used now; its age tells for how long they were not."""
    names = "".join(f"{jar.file_name}\n" for jar in jars)
    used = folder / f"{hashlib.sha256(names.encode()).hexdigest()[:16]}.used"
    if used.exists():
        os.utime(used)
    else:
        write_private(used, names)


def fresh_jars(folder: Path, within_s: float) -> set[str]:
    """Return the names of the jars that were used within so many seconds."""
    since = time.time() - within_s
    lists = [path for path in folder.glob("*.used") if path.stat().st_mtime >= since]
    return {name for path in lists for name in path.read_text(encoding="utf-8").splitlines()}


def jar_paths(*, folder: Path | None = None, lock: JarLock | None = None) -> JarPaths:
    """Return where the jars are or will be, without looking for them."""
    folder = folder or cache_dir() / "jars"
    lock = read_lock() if lock is None else lock
    paths = {group: tuple(folder / jar.file_name for jar in group_jars) for group, group_jars in lock.items()}
    return JarPaths(paths["kafka"], paths["connectors"], paths["planner"][0])


def _stamp(jar: LockedJar, path: Path) -> list[int | str]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, jar.sha256]


def _read_stamps(folder: Path) -> dict[str, list[int | str]]:
    try:
        stamps: dict[str, list[int | str]] = json.loads((folder / "verified.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return stamps


def _present(jar: LockedJar, folder: Path, stamps: Mapping[str, list[int | str]]) -> bool:
    """Return whether the jar is in the folder as the lock has it; another file of its name is removed."""
    path = folder / jar.file_name
    try:
        if stamps.get(jar.file_name) != _stamp(jar, path):
            verify(jar, path)
    except FileNotFoundError:
        return False
    except StackError:
        path.unlink()
        return False
    return True


@dataclass(slots=True)
class _Counter:
    """Adds up the bytes of all downloads for one bar."""

    total: int
    report: Progress
    done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count
            self.report(self.done, self.total)


@dataclass(slots=True)
class _Download:
    """The bytes of one attempt, which leave the bar again where it fails."""

    counter: _Counter
    done: int = 0

    def add(self, count: int) -> None:
        self.done += count
        self.counter.add(count)

    @contextmanager
    def of_file(self, _name: str, _size: int) -> Iterator[Callable[[int], None]]:
        """Return where jgo reports the bytes of a file."""
        yield self.add


def _fetch_all(
    missing: list[LockedJar], folder: Path, progress: Progress, repositories: Mapping[str, str] | None
) -> None:
    counter = _Counter(sum(jar.bytes for jar in missing), progress)
    # What an interrupted run has left half done.
    for left in folder.glob("partial-*"):
        shutil.rmtree(left)
    with (
        _system_certificates(),
        tempfile.TemporaryDirectory(dir=folder, prefix="partial-") as scratch,
        ThreadPoolExecutor(_DOWNLOADS) as pool,
    ):
        # The largest first: the others then fill the time it takes.
        largest_first = sorted(missing, key=lambda jar: -jar.bytes)
        futures = [pool.submit(_fetch, jar, folder, Path(scratch), counter, repositories) for jar in largest_first]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _system_certificates() -> Iterator[None]:
    """Let TLS trust whom the system trusts, and the files of SSL_CERT_FILE: a proxy may look into it.

    jgo's client, requests, brings a list of its own and takes no other.
    """
    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


def _fetch(
    jar: LockedJar, folder: Path, scratch: Path, counter: _Counter, repositories: Mapping[str, str] | None
) -> None:
    # jgo and requests take 0.4 s to import, which a warm start need not pay.
    from jgo.maven import MavenContext, PythonResolver

    backoff = Backoff(_FIRST_PAUSE_S, _LONGEST_PAUSE_S)
    for attempt in range(1, _ATTEMPTS + 1):
        download = _Download(counter)
        with tempfile.TemporaryDirectory(dir=scratch) as place:
            context = MavenContext(
                resolver=PythonResolver(progress_callback=download.of_file),
                repo_cache=Path(place),
                remote_repos=None if repositories is None else dict(repositories),
                timeout=_TIMEOUT_S,
            )
            try:
                path = context.create_dependency(jar.coordinate).artifact.resolve()
            except (OSError, RuntimeError) as error:
                if attempt == _ATTEMPTS:
                    raise StackError(
                        f"{jar.coordinate} could not be fetched ({error}); check the network and start again"
                    ) from error
                counter.add(-download.done)
                time.sleep(backoff.next_s())
                continue
            verify(jar, path)
            sync_file(path)
            path.replace(folder / jar.file_name)
            return


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Let one process at a time work in a folder of the cache; the lock ends with its holder.

    Raises StackError where nothing can be written there.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = open_lock_file(folder / ".lock")
    except OSError as error:
        raise StackError(
            f"cannot write the cache {folder}: {error.strerror}: set XDG_CACHE_HOME to a folder of your own"
        ) from error
    with locked(handle):
        yield


def progress_bar(done: int, total: int) -> str:
    """Return a bar of text, filled as far as ``done`` is of ``total``."""
    full = _BAR_CELLS * done // max(total, 1)
    return "█" * full + "░" * (_BAR_CELLS - full)


def _report_bytes(done: int, total: int) -> None:
    report_progress(
        f"fetching jars {progress_bar(done, total)} {done / _MEGABYTE:.0f} of {total / _MEGABYTE:.0f} MB"
    )
