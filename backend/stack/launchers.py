"""Whose death ends us: the launchers (uv, honcho) between us and the terminal."""

import psutil

_LAUNCHERS = ("uv", "uvx", "honcho")


def launchers() -> list[psutil.Process]:
    """Return our parent, grandparent and so on for as long as they are launchers.

    They pass no death on: a killed ``uv run`` leaves its child behind, a killed honcho its children's parents.
    """
    found: list[psutil.Process] = []
    try:
        shells: list[psutil.Process] = []
        for process in psutil.Process().parents():
            words = [word.rpartition("/")[2] for word in process.cmdline()[:3]]
            if any(word in _LAUNCHERS for word in words):
                found += [*shells, process]
                shells = []
            elif words[1:2] == ["-c"]:  # honcho runs a line by `sh -c`: counts where a launcher stands behind it
                shells.append(process)
            else:
                break
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # gone while we looked: our parent's pid will tell
        return found
    return found


def lives(process: psutil.Process) -> bool:
    """Tell whether a process still runs; one that waits to be reaped does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
