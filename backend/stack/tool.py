"""Run a program to its end, as part of preparing or settling a part."""

import asyncio
import os
from collections.abc import Mapping, Sequence

from coffee_core.errors import StackError
from coffee_core.tie import tied


async def run(what: str, argv: Sequence[str], stdin: str = "", env: Mapping[str, str] | None = None) -> str:
    """Return what the program said; where we are cancelled, it is ended.

    Raises StackError with ``what`` and its last words where it fails or cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for us, who then end it
            preexec_fn=tied(),
            env={**os.environ, **(env or {})},
        )
    except OSError as error:
        raise StackError(f"{what} failed: {error}") from error
    try:
        output, _ = await process.communicate(stdin.encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    text = output.decode(errors="replace").strip()
    if process.returncode:
        raise StackError(f"{what} failed: {text.splitlines()[-1] if text else f'exit code {process.returncode}'}")
    return text
