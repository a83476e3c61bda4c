"""Compiles PyFlink and Beam once: without bytecode every fresh Python in Flink takes ten seconds longer."""

import compileall
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

from backend.stack.jars import cache_dir, exclusive
from coffee_core.tie import tied

_PACKAGES = ("pyflink", "apache_beam")
_AT_ONCE = 2
_CHUNK_FILES = 100


def compile_bytecode(progress: Callable[[int, int], None] = lambda _done, _total: None) -> None:
    """Write the missing .pyc files of the two packages; ``progress`` hears files done and files in all. Blocks.

    Where the packages are missing, or their folder cannot be written to, nothing is done.
    """
    folders = [folder for name in _PACKAGES if (folder := _folder(name)) and os.access(folder, os.W_OK)]
    if not folders:
        return
    marks = cache_dir() / "bytecode"
    with exclusive(marks):
        mark = marks / hashlib.sha256(_installation(folders).encode()).hexdigest()[:16]
        if mark.exists():
            return
        _compile([path for folder in folders for path in sorted(folder.rglob("*.py"))], progress)
        mark.touch()


def _folder(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _installation(folders: list[Path]) -> str:
    """Describe these very installations: a reinstallation has another inode."""
    return "|".join(f"{folder} {folder.stat().st_ino}" for folder in folders)


def _compile(files: list[Path], progress: Callable[[int, int], None]) -> None:
    chunks = [files[start : start + _CHUNK_FILES] for start in range(0, len(files), _CHUNK_FILES)]
    done = 0
    # Fresh processes: forked ones would hold our locks, and none may outlive us.
    with ProcessPoolExecutor(_AT_ONCE, get_context("spawn"), tied()) as pool:
        futures = {pool.submit(_compile_chunk, chunk): len(chunk) for chunk in chunks}
        for future in as_completed(futures):
            future.result()
            done += futures[future]
            progress(done, len(files))


def _compile_chunk(files: list[Path]) -> None:
    for path in files:
        # Templates and tests for other Pythons do not compile: nobody imports them.
        compileall.compile_file(path, quiet=2)
