"""A name for each process of a daemon on this machine, which its successor has again."""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffee_core.errors import ConfigError
from coffee_core.file_lock import lock_file


@contextmanager
def consumer_name(home: Path, daemon: str, given: str = "") -> Iterator[str]:
    """Hold a consumer name: the given one, else the host's with the lowest number no other process here has.

    The number is held by a lock on a file under ``home``, which the kernel lets go of however the process ends.
    That nobody else uses a given name is up to the operator. (Two processes under one name would still count every
    order once, but do each other's work.) Raises ConfigError where the folder cannot be written.
    """
    if given:
        yield given
        return
    host = platform.node() or daemon
    folder = home / "locks"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, number = _lowest_free(folder, daemon)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used ({error}): set COFFEE_HOME or COFFEE_WORKER_NAME") from error
    try:
        yield f"{host}-{number}"
    finally:
        os.close(handle)


def _lowest_free(folder: Path, daemon: str) -> tuple[int, int]:
    number = 1
    while (handle := lock_file(folder / f"{daemon}-{number}.lock")) is None:
        number += 1
    return handle, number
