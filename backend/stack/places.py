"""Where the stack stands: whether its programs can name its folders and work in them, and what to do where not."""

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

from platformdirs import user_cache_path

from coffee_core.errors import StackError
from coffee_core.settings import Settings

_LEAST_BYTES = 50_000_000
"""Free space below which nothing is started: PostgreSQL alone makes 40 MB, and would end in the midst of that."""
ON_JAVA = frozenset({"kafka", "flink"})
"""Servers that run on a Java virtual machine."""

_NOT_IN_HOME = re.compile(r'[,:\\"\U00010000-\U0010ffff]|\$\{')
"""Flink and Kafka split lists of folders at a comma or colon, Flink takes a backslash for a slash, Java expands
${…}, in the variable with the arguments of Flink's client nothing escapes a quote, and RocksDB gets a character
beyond 16 bits as two halves, which is the name of no file."""
_NOT_IN_CACHE = re.compile(r'[:*"%]')
"""A class path is split at a colon, a star stands for all jars, and Java's class loader decodes a percent sign."""

_NAMEABLE = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
"""What a path may hold: initdb refuses a line break, and a byte that is no UTF-8 (for Python a surrogate) fits
no configuration file."""


def cache_dir() -> Path:
    """Return the user's cache folder of coffee-rt. Raises StackError where there is none."""
    try:
        return user_cache_path("coffee-rt", appauthor=False)
    except RuntimeError as error:  # an account without a name has no home
        raise StackError("no place for the cache: set HOME, or XDG_CACHE_HOME to an absolute path") from error


def require_home(home: Path) -> None:
    """Make the folder where there is none. Raises StackError where nothing can be written into it."""
    if obstacle := home_obstacle(home):
        raise StackError(obstacle)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StackError(_cannot_write(home, error.strerror or str(error), "COFFEE_HOME")) from error


def home_obstacle(home: Path) -> str:
    """Return why the data cannot lie in this folder, and what to do; empty where it can. Makes nothing."""
    return _obstacle(home, "COFFEE_HOME")


def cache_obstacle(cache: Path) -> str:
    """Return why the cache cannot lie in this folder, and what to do; empty where it can. Makes nothing."""
    return _obstacle(cache, "XDG_CACHE_HOME")


def java_obstacle(settings: Settings) -> str:
    """Return why Kafka and Flink cannot run in these folders, and what to do; empty where they can."""
    try:
        cache = cache_dir()
    except StackError as error:
        return str(error)
    for setting, folder, signs in (
        ("COFFEE_HOME", settings.home, _NOT_IN_HOME),
        ("XDG_CACHE_HOME", cache, _NOT_IN_CACHE),
    ):
        if found := signs.search(str(folder)):
            what = f"below a folder with {found[0]!r} in its name"
            return f"Kafka and Flink cannot work {what}: set {setting} to another"
    if ":" in sys.prefix:
        return "Flink finds no Python in a folder with ':' in its path: make the virtual environment elsewhere"
    if _is_noexec(settings.home):
        return "Flink loads libraries from COFFEE_HOME, which is mounted noexec: set COFFEE_HOME to another folder"
    return ""


def _is_noexec(folder: Path) -> bool:
    try:
        return bool(os.statvfs(_nearest(folder)).f_flag & getattr(os, "ST_NOEXEC", 0))
    except OSError:  # told as a folder that cannot be written into
        return False


def _obstacle(wanted: Path, setting: str) -> str:
    if not _NAMEABLE.fullmatch(str(wanted)):
        return f"{setting} must be a path of UTF-8 without control characters, and is {str(wanted)!r}"
    try:
        folder = _nearest(wanted)
        status = os.statvfs(folder)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return _cannot_write(wanted, error.strerror or str(error), setting)
    if not folder.is_dir():
        return _cannot_write(wanted, f"{folder} is no folder", setting)
    if status.f_flag & os.ST_RDONLY:
        return _cannot_write(wanted, "its file system is read-only", setting)
    if not os.access(folder, os.W_OK | os.X_OK):
        return _cannot_write(wanted, f"{folder} is closed to uid {os.geteuid()}", setting)
    if free < _LEAST_BYTES:
        return f"{folder} has {free / 1e6:.0f} MB free, too few: make room, or set {setting} to another disk"
    return ""


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that can be seen. Raises OSError, e.g. for a name too long."""
    for path in (folder, *folder.parents):
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        return path
    return Path("/")


def _cannot_write(folder: Path, why: str, setting: str) -> str:
    return f"cannot write into {folder}: {why}: set {setting} to a folder of your own"


_FUSE = Path("/dev/fuse")


def fuse_obstacle() -> str:
    """Return what a file system of our own lacks here, and what to do; empty where it lacks nothing."""
    if not _FUSE.exists():
        return f"there is no {_FUSE}: Linux has it, a container with --device {_FUSE} --cap-add SYS_ADMIN"
    if shutil.which("fusermount3") is None:
        return "fusermount3 is missing: install fuse3"
    if importlib.util.find_spec("mfusepy") is None:
        return "mfusepy is not installed: install coffee-rt[power-cut]"
    return ""
