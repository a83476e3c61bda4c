"""A consumer name that stays: a worker that starts again takes up what was delivered to it under that name."""

import fcntl
import itertools
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffee_core.errors import ConfigError


@contextmanager
def consumer_name(home: Path, given: str = "") -> Iterator[str]:
    """Hold a consumer name: the given one, else the host's with the lowest number no other worker here has.

    The number is held by a lock on a file under ``home``, which the kernel lets go of however the process ends.
    A given name is the operator's word that nobody else has it. (Two workers under one name would still count
    every order once, but do each other's work.) Raises ConfigError where the folder cannot be written.
    """
    if given:
        yield given
        return
    host = platform.node() or "worker"
    folder = home / "locks"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, number = _lowest_free(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be used ({error}): set COFFEE_HOME or COFFEE_WORKER_NAME") from error
    try:
        yield f"{host}-{number}"
    finally:
        os.close(handle)


def _lowest_free(folder: Path) -> tuple[int, int]:
    for number in itertools.count(1):
        handle = os.open(folder / f"stream-worker-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        return handle, number
    raise AssertionError("the numbers do not end")
