"""How a part's process is started: in a session of its own, to end with us, with an environment and a log."""

import os
import subprocess
from collections.abc import Mapping
from typing import IO, Any

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


def child_env(settings: Settings, extra: Mapping[str, str]) -> dict[str, str]:
    """Return our environment for a child: with the home and the pipelines as we have read them, and ``extra``.

    PYTHONDONTWRITEBYTECODE stays behind: with it every restart of a Python part compiles its libraries anew.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    ours = {"COFFEE_HOME": str(settings.home), "COFFEE_PIPELINES": ",".join(settings.pipelines)}
    if settings.given_database_url:
        # With what libpq's variables of this shell say: whatever child has others of its own must not matter.
        ours["DATABASE_URL"] = settings.given_database_url
    return {**inherited, "PYTHONUNBUFFERED": "1", **ours, **extra}


def signal_group(pid: int, number: int) -> None:
    """Send a signal to whatever is left of a child's process group."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return
