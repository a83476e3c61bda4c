"""The environment of the peers: a folder of the user's cache with what they need and this project does not."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from backend.stack.jars import exclusive
from backend.stack.places import cache_dir
from coffee_core.children import child_environ
from coffee_core.errors import StackError

PEERS = "peers"
"""Folder of the cache with an environment for each set of requirements and Python; pruned by ``cache.py``."""
EXCLUDE_NEWER = "2026-11-12T00:00:00Z"
"""Fixes, as in pyproject.toml, what the requirements need in turn."""
_READY = "ready"
_WITHIN_S = 600.0
_FRAMES = str.maketrans("×╰─▶├│", "      ")
"""What uv draws around its words."""
_MOST_WORDS = 400
_REMEDY = "they are fetched once: try again with a network"


def peers_python(announce: Callable[[str], None]) -> Path:
    """Return the Python of the peers' environment, which uv makes where it is not there yet; blocks.

    Raises StackError, in one line, where it cannot be had.
    """
    requirements = files("backend.lab.bench.peers") / "requirements.txt"
    text = requirements.read_text(encoding="utf-8")
    stamp = f"{text}\n{EXCLUDE_NEWER}\n{sys.executable}\n{sys.version}"
    key = hashlib.sha256(stamp.encode()).hexdigest()[:16]
    folder = cache_dir() / PEERS / key
    python = folder / "bin" / "python"
    with exclusive(cache_dir() / PEERS):
        if not (folder / _READY).exists():
            announce(f"making an environment for the peers in {folder}: {', '.join(text.split())}")
            _make(folder, text)
        (folder / _READY).touch(mode=0o600)
        os.utime(folder)  # what is not used for a month goes
    return python


def _make(folder: Path, requirements: str) -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if not uv:
        raise StackError(
            "the peers need an environment of their own, which uv makes: install uv, or put it into PATH"
        )
    shutil.rmtree(folder, ignore_errors=True)  # half made
    folder.mkdir(mode=0o700)
    given = folder / "requirements.txt"
    given.write_text(requirements, encoding="utf-8")
    _run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder), folder=folder)
    python = str(folder / "bin" / "python")
    install = ("pip", "install", "--quiet", "--python", python, "--exclude-newer", EXCLUDE_NEWER, "-r", str(given))
    _run(uv, *install, folder=folder)


def _run(*command: str, folder: Path) -> None:
    """Run uv in a folder that no project's settings reach, with those of the user. Raises StackError."""
    given = {name: value for name, value in os.environ.items() if name.startswith("UV_")}
    try:
        subprocess.run(
            command,
            cwd=folder,
            env=child_environ(given, downloads=True),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_WITHIN_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        words = " ".join(error.stderr.decode(errors="replace").translate(_FRAMES).split())
        reason = words.removeprefix("error: ")[:_MOST_WORDS]
        raise StackError(f"the peers' packages cannot be had: {reason}; {_REMEDY}") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"the peers' packages are not there after {_WITHIN_S:g} s; {_REMEDY}") from error
    except OSError as error:
        raise StackError(f"uv cannot be run ({error.strerror}): {command[0]}") from error
