"""Deletes the data of a home."""

import shutil
from pathlib import Path

from coffee_core.errors import StackError
from coffee_core.passwords import FOLDER as PASSWORDS

_OURS = ("postgres", "postgres.new", "redis", "kafka", "flink", "locks", "logs", "run", PASSWORDS)
"""What the stack makes there. COFFEE_HOME may be a folder that holds other things too: they are left alone."""


def present(home: Path) -> list[Path]:
    """Return the folders of the stack that are there."""
    return [home / name for name in _OURS if (home / name).is_dir()]


def wipe(home: Path) -> None:
    """Delete them. Raises StackError naming what could not be deleted."""
    for folder in present(home):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise StackError(f"cannot delete {folder}: {error.strerror}: {error.filename}") from error
