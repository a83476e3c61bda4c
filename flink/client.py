"""Runs ``flink.job`` as a process of its own: PyFlink's client needs a JVM, and only for the submission."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from coffee_core.errors import CoffeeError

_WITHIN_S = 120.0
_SAID_LINES = 12


class SubmitError(CoffeeError):
    """The job could not be submitted."""


async def run_client(epoch: str, restore: Path | None) -> str:
    """Submit the job and return its id. Raises SubmitError with the last words of the client.

    Where this is cancelled the client and its JVM are ended too.
    """
    given = ["--epoch", epoch] + (["--restore", str(restore)] if restore else [])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flink.job", *given),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, errors = await process.communicate()
    except TimeoutError:
        raise SubmitError(f"the client did not submit the job within {_WITHIN_S:.0f} s") from None
    finally:
        _end_group(process.pid)
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip().splitlines()[-_SAID_LINES:]
        raise SubmitError("the client could not submit the job: " + "\n".join(said))
    return output.decode().split()[-1]


def _end_group(process_id: int) -> None:
    """End what is left of the client: the JVM ignores the end of its parent while it is starting."""
    try:
        os.killpg(process_id, signal.SIGKILL)
    except ProcessLookupError:
        return
