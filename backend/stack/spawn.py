"""How a part's process is started: in a session of its own, to end with us, with an environment and a log."""

import os
import subprocess
from collections.abc import Mapping
from typing import IO, Any

from coffee_core.children import child_environ
from coffee_core.parent_death_signal import dies_with_parent
from coffee_core.settings import Settings


def spawn_options(env: Mapping[str, str], output: IO[bytes]) -> dict[str, Any]:
    """Return the keyword arguments that start a part's process, for subprocess and asyncio alike."""
    return {
        "env": env,
        "stdin": subprocess.DEVNULL,
        "stdout": output,
        "stderr": subprocess.STDOUT,
        "start_new_session": True,
        "preexec_fn": dies_with_parent(),
        "umask": 0o077,
    }


def child_env(
    settings: Settings, extra: Mapping[str, str], *, terminal: bool = False, downloads: bool = False
) -> dict[str, str]:
    """Return the environment of a child, with what of the settings ``coffee up`` takes as options, and ``extra``.

    ``terminal`` and ``downloads`` are those of ``child_environ``.
    """
    ours = {
        "COFFEE_HOME": str(settings.home),
        "COFFEE_PIPELINES": ",".join(settings.pipelines),
        "COFFEE_NETWORK_LAB": "yes" if settings.network_lab else "no",
    }
    if settings.given_database_url:
        # With what libpq's variables of this shell say, which no child gets.
        ours["DATABASE_URL"] = settings.given_database_url
    return child_environ({**ours, **extra}, terminal=terminal, downloads=downloads)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to whatever is left of a child's process group."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return
