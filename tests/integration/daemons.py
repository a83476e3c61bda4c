"""The daemons as the processes that they are."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO


@contextlib.asynccontextmanager
async def daemon(
    module: str, home: Path, database_url: str, redis_url: str, **environ: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``python -m module`` for the length of the block; its log is ``home/log``."""
    environment = {
        **os.environ,
        "COFFEE_HOME": str(home),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        **environ,
    }
    with _open_log(home) as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-m", module, env=environment, stderr=log, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _open_log(home: Path) -> IO[bytes]:
    home.mkdir(parents=True, exist_ok=True)
    return (home / "log").open("ab")


def log_of(home: Path) -> str:
    """Return what the daemons of this home have logged."""
    return (home / "log").read_text(encoding="utf-8")
