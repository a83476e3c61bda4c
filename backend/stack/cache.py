"""What the user's cache keeps, and for how long: whatever no stack has used for a month is deleted.

Archives of classes (30 to 110 MB each) and folders of links are made anew for each environment, jars for
each release; nobody else would ever delete the old ones.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from backend.stack.jars import exclusive, fresh_jars
from backend.stack.places import cache_dir

UNUSED_S = 30 * 86_400.0
"""Seconds without use after which a file goes."""
_ABANDONED_S = 86_400.0
"""Seconds after which nobody writes a class list or a half-made archive any more: their makers were killed."""
_EVERY_S = 86_400.0


def prune_cache() -> int:
    """Delete what nobody needs any more, at most once a day; return how many bytes that was; blocks.

    Raises StackError where the cache cannot be written.
    """
    cache = cache_dir()
    with exclusive(cache):
        done = cache / "pruned"
        if _age_s(done) < _EVERY_S:
            return 0
        done.touch(mode=0o600)
        return sum(_remove(path) for path in list(_unneeded(cache)))


def _unneeded(cache: Path) -> Iterator[Path]:
    for path in (cache / "cds").glob("*"):
        if _age_s(path) > (UNUSED_S if path.suffix in (".jsa", ".classpath") else _ABANDONED_S):
            yield path
    # Peers: the environments of `coffee bench --peers`.
    for path in (*(cache / "bytecode").glob("[0-9a-f]*"), *(cache / "peers").glob("[0-9a-f]*")):
        if _age_s(path) > UNUSED_S:
            yield path
    # A folder of links into an environment that is gone is of no use; nor is one that was left half made.
    for path in (cache / "flink").glob("*"):
        if path.is_dir() and not (path / "plugins").exists() and _age_s(path) > _ABANDONED_S:
            yield path
    needed = fresh_jars(cache / "jars", UNUSED_S)
    for path in (cache / "jars").glob("*"):
        if path.suffix in (".jar", ".used") and path.name not in needed and _age_s(path) > UNUSED_S:
            yield path


def _age_s(path: Path) -> float:
    """Return the seconds since a file was last written, touched or, as far as that is noted, read."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return float("inf")
    return time.time() - max(status.st_mtime, status.st_atime if path.suffix == ".jar" else 0.0)


def _remove(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return 0
    size = path.lstat().st_size
    path.unlink(missing_ok=True)
    return size
