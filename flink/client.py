"""Runs PyFlink's client as a process of its own: it needs a JVM, and only while it plans a job."""

import asyncio
import os
import sys
from collections.abc import Sequence

from coffee_core.errors import CoffeeError
from coffee_core.tie import tied
from flink.catcher import Catcher

_WITHIN_S = 240.0
_SAID_LINES = 12
_NO_WORKERS = {"_python_worker_execution_mode": "process"}
"""Else PyFlink opens a server on all interfaces, which starts Python for whoever asks; a remote job needs none."""


class SubmitError(CoffeeError):
    """The job could not be submitted."""


async def plan(arguments: Sequence[str], niceness: int = 0) -> bytes:
    """Return the job that a client submits, as Flink serialises it; nothing reaches Flink. Raises SubmitError.

    ``arguments`` are those of Python: a module and its own. The client's JVM ends with the client.
    """
    async with Catcher() as catcher:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            env={**os.environ, "FLINK_REST_URL": catcher.url, **_NO_WORKERS},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=tied(niceness=niceness),
        )
        try:
            async with asyncio.timeout(_WITHIN_S):
                _, errors = await process.communicate()
        except TimeoutError:
            raise SubmitError(f"the client did not plan its job within {_WITHIN_S:.0f} s") from None
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode != 0 or not catcher.plan.done():
            said = errors.decode(errors="replace").strip().splitlines()[-_SAID_LINES:]
            raise SubmitError("the client could not plan its job: " + "\n".join(said))
        return catcher.plan.result()
