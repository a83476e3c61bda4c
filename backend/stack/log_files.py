"""One log file a part, which its process writes to directly; kept below a size by copying and cutting it."""

import os
import shutil
from pathlib import Path
from typing import IO

MAX_BYTES = 8_000_000
"""Size at which a log is moved aside; one older file is kept."""
_READ_BYTES = 65_536


def log_path(home: Path, name: str) -> Path:
    """Return the log file of a part."""
    return home / "logs" / f"{name}.log"


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending, readable by its owner alone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    rotate(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    return os.fdopen(handle, "ab", buffering=0)


def rotate(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Move what a log holds to ``….log.1`` where it has grown too large.

    The process keeps its descriptor, so the file is copied and cut rather than renamed; a line written in between
    is lost.
    """
    try:
        if path.stat().st_size <= max_bytes:
            return
    except FileNotFoundError:
        return
    aside = path.with_name(f"{path.name}.1")
    try:
        shutil.copyfile(path, aside)
        aside.chmod(0o600)
    except OSError:
        # No room for two of them: what it holds goes, for the log must not grow, nor its part end for it.
        aside.unlink(missing_ok=True)
    os.truncate(path, 0)


def text_since(path: Path, since: int = 0) -> str:
    """Return what a log holds after byte ``since``, of that at most the last 64 KiB; nothing where it is gone."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            # Moved aside meanwhile, it begins anew.
            file.seek(max(since if since <= size else 0, size - _READ_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
