"""Runs PyFlink's client as a process of its own: it needs a JVM, and only while it submits."""

import asyncio
import sys
from pathlib import Path

from coffee_core.errors import CoffeeError
from coffee_core.tie import tied

_WITHIN_S = 240.0
_SAID_LINES = 12


class SubmitError(CoffeeError):
    """The job could not be submitted."""


async def submit_orders(epoch: str, restore: Path | None) -> str:
    """Submit the job of the orders and return its id. Raises SubmitError."""
    return await _run("flink.job", ["--epoch", epoch, *(["--restore", str(restore)] if restore else [])])


async def submit_warm_up(slots: int) -> str:
    """Submit the job that warms this many slots, with little claim to the processor. Raises SubmitError."""
    return await _run("flink.warm", ["--slots", str(slots)], niceness=10)


async def _run(module: str, given: list[str], niceness: int = 0) -> str:
    """Run a client to its end and return the id that it prints; its JVM ends with it, by the end of its input."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *given),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=tied(niceness=niceness),
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            output, errors = await process.communicate()
    except TimeoutError:
        raise SubmitError(f"the client did not submit its job within {_WITHIN_S:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        said = errors.decode(errors="replace").strip().splitlines()[-_SAID_LINES:]
        raise SubmitError("the client could not submit its job: " + "\n".join(said))
    return output.decode().split()[-1]
